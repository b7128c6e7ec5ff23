# INTARSIA_SANITIZE, "address,undefined" or "thread": library and tests are compiled with sanitizers, and the tests get
# their options, which ASAN_OPTIONS, UBSAN_OPTIONS and TSAN_OPTIONS of the environment still override.

add_library(intarsia_sanitizer INTERFACE) # what an executable links to have the options
if(NOT INTARSIA_SANITIZE)
    return()
endif()

# -O1: the kernels, instrumented, take -O3 minutes.
target_compile_options(intarsia_flags INTERFACE
    -O1 -fsanitize=${INTARSIA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
target_link_options(intarsia_flags INTERFACE -fsanitize=${INTARSIA_SANITIZE})

set(INTARSIA_LEAKS 0)
if(INTARSIA_SANITIZE MATCHES address)
    # LeakSanitizer needs ptrace, which a container may forbid; it then fails even where nothing leaks.
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/sanitize/leak.c
        "#include <stdlib.h>\nint main(void) { free(malloc(1)); return 0; }\n")
    try_run(leaks_exit leaks_compiled
        ${CMAKE_CURRENT_BINARY_DIR}/sanitize/probe ${CMAKE_CURRENT_BINARY_DIR}/sanitize/leak.c
        COMPILE_DEFINITIONS -fsanitize=address
        LINK_OPTIONS -fsanitize=address)
    if(leaks_compiled AND leaks_exit EQUAL 0)
        set(INTARSIA_LEAKS 1)
    else()
        message(STATUS "LeakSanitizer does not run here: leaks go unseen")
    endif()

    # A process that was not linked with the sanitizer, such as a JVM, preloads both: the second so that exceptions
    # thrown in a library are known to the first.
    foreach(name libasan.so libstdc++.so)
        execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=${name}
            OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
        file(REAL_PATH ${path} path)
        file(CREATE_LINK ${path} ${CMAKE_CURRENT_BINARY_DIR}/${name} SYMBOLIC)
    endforeach()
endif()

file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/sanitize/options.c @ONLY CONTENT [[
#define OPTIONS(name, text) \
    __attribute__((visibility("default"))) const char *name(void); \
    const char *name(void) { return text; }
OPTIONS(__asan_default_options,
    "detect_leaks=@INTARSIA_LEAKS@:strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1")
OPTIONS(__ubsan_default_options, "print_stacktrace=1")
OPTIONS(__tsan_default_options, "halt_on_error=1:second_deadlock_stack=1")
]])
add_library(intarsia_sanitizer_options OBJECT ${CMAKE_CURRENT_BINARY_DIR}/sanitize/options.c)
target_sources(intarsia_sanitizer INTERFACE $<TARGET_OBJECTS:intarsia_sanitizer_options>)
