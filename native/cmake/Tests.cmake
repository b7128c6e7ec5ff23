# ctest: every GoogleTest case by its name, the header as plain C11, and what the linker was given and made.

if(CMAKE_CROSSCOMPILING)
    # An installed GoogleTest is the build machine's: its sources are built for the target.
    set(INTARSIA_GTEST_SOURCE /usr/src/googletest CACHE PATH "Sources of GoogleTest, for cross builds")
    set(INSTALL_GTEST OFF)
    add_subdirectory(${INTARSIA_GTEST_SOURCE} ${CMAKE_CURRENT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
else()
    find_package(GTest REQUIRED)
endif()
include(GoogleTest)

file(GLOB test_sources CONFIGURE_DEPENDS tests/*_test.cpp tests/*_emulated.cpp)
add_executable(intarsia_tests ${test_sources})
target_include_directories(intarsia_tests PRIVATE tests)
target_link_libraries(intarsia_tests PRIVATE intarsia_objects intarsia_sanitizer GTest::gtest GTest::gtest_main)
gtest_discover_tests(intarsia_tests DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120)

# A CUDA device without one: the host's side of CUDA devices runs on it on any machine.
add_library(intarsia_emulated_gpu SHARED tests/emulated_gpu.cpp)
target_include_directories(intarsia_emulated_gpu PRIVATE tests include src ${INTARSIA_GENERATED})
target_link_libraries(intarsia_emulated_gpu PRIVATE intarsia_flags intarsia_sanitizer)
add_test(NAME steps_on_an_emulated_device COMMAND intarsia_tests --gtest_filter=Cuda.ASequenceReads*)
set_tests_properties(steps_on_an_emulated_device PROPERTIES ENVIRONMENT INTARSIA_TEST_GPU=$<TARGET_FILE:intarsia_emulated_gpu>)

add_executable(intarsia_consumer tests/consumer.c)
target_compile_options(intarsia_consumer PRIVATE -Wall -Wextra -Wpedantic -Werror)
target_link_libraries(intarsia_consumer PRIVATE intarsia intarsia_sanitizer)
target_link_options(intarsia_consumer PRIVATE $<TARGET_PROPERTY:intarsia_flags,INTERFACE_LINK_OPTIONS>)
add_test(NAME header_is_plain_c COMMAND intarsia_consumer)

add_test(NAME exports_are_the_header
    COMMAND ${CMAKE_COMMAND} -D NM=${CMAKE_NM} -D LIBRARY=$<TARGET_FILE:intarsia>
        -D HEADER=${CMAKE_CURRENT_SOURCE_DIR}/include/intarsia.h
        -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/check_exports.cmake)

add_test(NAME tiers_keep_to_themselves
    COMMAND ${CMAKE_COMMAND} -D NM=${CMAKE_NM} "-DOBJECTS=$<TARGET_OBJECTS:intarsia_objects>"
        -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/check_tiers.cmake)
if(INTARSIA_SANITIZE)
    set_tests_properties(tiers_keep_to_themselves PROPERTIES DISABLED ON) # instrumented code is not inlined
endif()

if(TARGET intarsia_cuda_objects)
    # The CUDA kernels by themselves; they skip where there is no device. tests/cuda_test.cpp has whole steps on a device.
    file(GLOB cuda_test_sources CONFIGURE_DEPENDS tests/cuda_*_test.cu)
    add_executable(intarsia_cuda_tests ${cuda_test_sources})
    target_include_directories(intarsia_cuda_tests PRIVATE tests)
    target_link_libraries(intarsia_cuda_tests PRIVATE intarsia_cuda_objects GTest::gtest GTest::gtest_main)
    gtest_discover_tests(intarsia_cuda_tests DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120)
endif()
