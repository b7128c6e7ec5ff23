# intarsia_build.h, generated while building and only when an input changed:
#   INTARSIA_VERSION        the project's version
#   INTARSIA_HEADER_SHA256  of include/intarsia.h, which the committed bindings carry too
#   INTARSIA_BUILD_ID       over every native source, header, flag and the compiler: whatever may change a compiled
#                           piece changes it, so it can key artifacts kept on disk

set(INTARSIA_GENERATED ${CMAKE_CURRENT_BINARY_DIR}/generated)
set(INTARSIA_BUILD_HEADER ${INTARSIA_GENERATED}/intarsia_build.h)

file(GLOB_RECURSE build_inputs CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}
    include/*.h src/*.cpp src/*.h src/*.hpp src/*.inc src/*.cu src/*.cuh)
list(APPEND build_inputs CMakeLists.txt cmake/Tiers.cmake)
list(SORT build_inputs)
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/build-inputs.cmake
    "set(inputs \"${build_inputs}\")\n"
    "set(flags [==[${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} ${INTARSIA_PLATFORM} ${CMAKE_BUILD_TYPE} "
    "${CMAKE_CXX_FLAGS} ${INTARSIA_SANITIZE}]==])\n"
    "set(version ${PROJECT_VERSION})\n")

list(TRANSFORM build_inputs PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE build_input_paths)
add_custom_command(
    OUTPUT ${INTARSIA_BUILD_HEADER}
    COMMAND ${CMAKE_COMMAND}
        -D ROOT=${CMAKE_CURRENT_SOURCE_DIR}
        -D INPUTS=${CMAKE_CURRENT_BINARY_DIR}/build-inputs.cmake
        -D OUTPUT=${INTARSIA_BUILD_HEADER}
        -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/write_build_header.cmake
    DEPENDS ${build_input_paths} ${CMAKE_CURRENT_BINARY_DIR}/build-inputs.cmake
    COMMENT "Writing intarsia_build.h"
    VERBATIM)
