# The helpers of the build: vade_module(), vade_module_tests().
include_guard(GLOBAL)
include(GoogleTest OPTIONAL)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)  # lets ccache see a precompiled header
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

# ccache keeps what was compiled with a precompiled header only when it is told that this is wanted.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()
find_package(Threads REQUIRED)

add_library(vade_flags INTERFACE)
target_compile_options(vade_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor
                                            -fno-strict-aliasing)
# The order of a floating-point sum is part of what the kernels promise (docs/ARCHITECTURE.md), so the
# compiler may not fuse or reorder by itself.
target_compile_options(vade_flags INTERFACE -ffp-contract=off)
if(VADE_SANITIZE)
  target_compile_options(vade_flags INTERFACE -fsanitize=${VADE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(vade_flags INTERFACE -fsanitize=${VADE_SANITIZE})
endif()
target_include_directories(vade_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_link_libraries(vade_flags INTERFACE Threads::Threads)

# vade_module(NAME [DEPENDS module...] [LIBS library...] [EXCLUDE file...])
# A static library vade_NAME of every NAME/*.cc (and NAME/*/*.cc that the module adds itself).
function(vade_module name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBS;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  foreach(file IN LISTS ARG_EXCLUDE)
    list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  add_library(vade_${name} STATIC ${sources})
  target_link_libraries(vade_${name} PUBLIC vade_flags)
  foreach(dep IN LISTS ARG_DEPENDS)
    target_link_libraries(vade_${name} PUBLIC vade_${dep})
  endforeach()
  target_link_libraries(vade_${name} PRIVATE ${ARG_LIBS})
endfunction()

# vade_module_tests(NAME): tests/NAME/*_test.cc become NAME_test (label unit), *_slow_test.cc
# NAME_slow_test (label slow), and so for model, cuda and e2e. Tests may include tests/testing/*.h.
function(vade_module_tests name)
  set(dir ${PROJECT_SOURCE_DIR}/tests/${name})
  file(GLOB all CONFIGURE_DEPENDS ${dir}/*_test.cc)
  foreach(label slow model cuda e2e)
    set(labelled ${all})
    list(FILTER labelled INCLUDE REGEX "_${label}_test\\.cc$")
    list(REMOVE_ITEM all ${labelled})
    vade_test_binary(${name} ${label} ${name}_${label}_test "${labelled}")
  endforeach()
  vade_test_binary(${name} unit ${name}_test "${all}")
endfunction()

# GoogleTest is a third of the time of compiling a test: parsed once for all test binaries. Every file still
# includes what it uses; the sanitizer presets build without precompiled headers and would show a gap.
function(vade_precompile_test_headers target)
  if(NOT TARGET vade_test_headers)
    # An executable, because code for one is compiled with other flags than code for a library.
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/vade_test_headers.cc CONTENT "int main() {}\n")
    add_executable(vade_test_headers ${PROJECT_BINARY_DIR}/vade_test_headers.cc)
    target_link_libraries(vade_test_headers PRIVATE vade_flags GTest::gtest GTest::gmock)
    target_compile_options(vade_test_headers PRIVATE -O1)
    target_precompile_headers(vade_test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
  endif()
  target_precompile_headers(${target} REUSE_FROM vade_test_headers)
endfunction()

# vade_test_binary(MODULE LABEL TARGET SOURCES [PREFIX of the tests' names])
function(vade_test_binary module label target sources)
  if(NOT sources)
    return()
  endif()
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE vade_${module} GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_definitions(${target} PRIVATE VADE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  # What is tested is compiled as users run it; the tests themselves only need to compile soon.
  target_compile_options(${target} PRIVATE -O1)
  vade_precompile_test_headers(${target})
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120 TEST_PREFIX "${ARGV4}"
                       PROPERTIES LABELS ${label} TIMEOUT 900)
endfunction()
