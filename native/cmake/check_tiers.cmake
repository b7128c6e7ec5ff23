# Script: no object compiled for an instruction-set tier defines a weak function. The linker keeps one copy of an inline
# or template function of all that the objects bring; a copy built for AVX-512 would then run on every processor. Let
# tier files keep their helpers in an anonymous namespace and leave containers to others.

set(tiers 0)
foreach(object IN LISTS OBJECTS)
    if(NOT object MATCHES "_(avx2|avx512|amx|neon)\\.cpp\\.o$")
        continue()
    endif()
    math(EXPR tiers "${tiers} + 1")
    execute_process(COMMAND ${NM} -C --defined-only ${object} OUTPUT_VARIABLE out COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL " W [^\n]+" weak "${out}")
    if(weak)
        list(JOIN weak "\n " weak)
        message(SEND_ERROR "Weak functions in ${object}:\n ${weak}")
    endif()
endforeach()
message(STATUS "${tiers} objects of instruction-set tiers looked at")
