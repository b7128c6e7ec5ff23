# Cross build for 64-bit ARM on Linux, its tests run by an emulator. On Debian and Ubuntu:
#   apt-get install g++-aarch64-linux-gnu qemu-user-static googletest
#   cmake -S native -B build-aarch64 -G Ninja --toolchain cmake/aarch64.toolchain.cmake

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

find_program(INTARSIA_QEMU_AARCH64 NAMES qemu-aarch64-static qemu-aarch64)
if(INTARSIA_QEMU_AARCH64)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${INTARSIA_QEMU_AARCH64} -L /usr/aarch64-linux-gnu)
endif()
