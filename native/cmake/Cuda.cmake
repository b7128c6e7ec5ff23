# libintarsia_cuda.so, the plug-in for CUDA devices, where nvcc is found: a library of its own, with the CUDA runtime inside, that the other loads
# when it is there. Nothing links to a driver, so that it loads on any machine.

set(INTARSIA_CUDA AUTO CACHE STRING "Build the CUDA plug-in: AUTO (where nvcc is found), ON or OFF")
set(INTARSIA_CUDA_ARCHITECTURES 80-real 90a-real 100 CACHE STRING "What the CUDA kernels are compiled for")

if(INTARSIA_CUDA STREQUAL OFF OR CMAKE_CROSSCOMPILING OR INTARSIA_SANITIZE)
    return()
endif()
if(NOT CMAKE_CUDA_COMPILER)
    find_program(INTARSIA_NVCC nvcc HINTS /usr/local/cuda/bin)
    if(NOT INTARSIA_NVCC)
        if(INTARSIA_CUDA STREQUAL ON)
            message(FATAL_ERROR "INTARSIA_CUDA is ON, but there is no nvcc")
        endif()
        message(STATUS "No nvcc: the CUDA plug-in is left out")
        return()
    endif()
    set(CMAKE_CUDA_COMPILER ${INTARSIA_NVCC})
endif()
set(CMAKE_CUDA_ARCHITECTURES ${INTARSIA_CUDA_ARCHITECTURES})
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION) # nvcc 12 and later know it, CMake 3.25 does not know that
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()

file(GLOB cuda_sources CONFIGURE_DEPENDS src/cuda/*.cu src/cuda/*.cpp)
add_library(intarsia_cuda_objects OBJECT ${cuda_sources} src/runtime/error.cpp ${INTARSIA_BUILD_HEADER})
set_target_properties(intarsia_cuda_objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_include_directories(intarsia_cuda_objects PUBLIC include src ${INTARSIA_GENERATED})
target_compile_options(intarsia_cuda_objects PUBLIC
    "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-fvisibility=hidden>"
    "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Werror;-fvisibility=hidden;-fvisibility-inlines-hidden>")
target_link_libraries(intarsia_cuda_objects PUBLIC Threads::Threads ${CMAKE_DL_LIBS})

add_library(intarsia_cuda MODULE)
target_link_libraries(intarsia_cuda PRIVATE intarsia_cuda_objects)
set_target_properties(intarsia_cuda PROPERTIES LINKER_LANGUAGE CUDA)
target_link_options(intarsia_cuda PRIVATE -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL -Wl,--strip-debug -Wl,-z,defs)
install(TARGETS intarsia_cuda LIBRARY DESTINATION META-INF/intarsia/${INTARSIA_PLATFORM} COMPONENT cuda EXCLUDE_FROM_ALL)
