# Instruction-set tiers: a file of src/cpu named *_TIER.cpp gets that tier's flags and nothing else does. Each tier that
# is built defines INTARSIA_TIER_<NAME>, so that the dispatcher names only kernels that exist; which of them runs is
# decided by cpuid. For another processor than the tier's, or with a compiler that knows no such flag, the files are left
# out.

include(CheckCXXCompilerFlag)

set(avx2_flags -mavx2 -mfma -mf16c)
set(avx512_flags -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mfma -mf16c)
set(amx_flags ${avx512_flags} -mamx-tile -mamx-bf16 -mamx-int8)
set(neon_flags "") # every 64-bit ARM processor has it
set(neon_processor aarch64)

# gcc 12 takes the operands that its own AVX-512 intrinsics leave undefined for a mistake; under sanitizers, at -O1, for a certain one.
set(tier_quiet $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
if(INTARSIA_SANITIZE)
    list(APPEND tier_quiet $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>)
endif()

set(INTARSIA_TIER_SOURCES "")
foreach(tier avx2 avx512 amx neon)
    set(files ${INTARSIA_SOURCES})
    list(FILTER files INCLUDE REGEX "/src/cpu/[^/]*_${tier}\\.cpp$")
    if(NOT files)
        continue()
    endif()
    string(TOUPPER ${tier} TIER)
    set(INTARSIA_CAN_${TIER} OFF)
    if(NOT DEFINED ${tier}_processor)
        set(${tier}_processor x86_64)
    endif()
    if(INTARSIA_PLATFORM MATCHES "${${tier}_processor}$")
        list(JOIN ${tier}_flags " " flags)
        check_cxx_compiler_flag("${flags}" INTARSIA_COMPILER_HAS_${TIER})
        set(INTARSIA_CAN_${TIER} ${INTARSIA_COMPILER_HAS_${TIER}})
    endif()
    if(INTARSIA_CAN_${TIER})
        set_source_files_properties(${files} PROPERTIES COMPILE_OPTIONS "${${tier}_flags};${tier_quiet}")
        if(tier STREQUAL amx)
            set_source_files_properties(src/runtime/device.cpp PROPERTIES COMPILE_DEFINITIONS INTARSIA_TIER_AMX=1)
        else()
            target_compile_definitions(intarsia_flags INTERFACE INTARSIA_TIER_${TIER}=1)
        endif()
        list(APPEND INTARSIA_TIER_SOURCES ${files})
    else()
        message(STATUS "Kernel tier ${tier} is left out on ${INTARSIA_PLATFORM}")
        list(REMOVE_ITEM INTARSIA_SOURCES ${files})
    endif()
endforeach()
