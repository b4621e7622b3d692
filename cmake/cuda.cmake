# libvade_cuda.so: the GPU's backend (docs/gpu.md), opened at run time by model/cuda_library.cc. Built
# where nvcc is found. nvcc is called by rules of our own: cmake 3.25 does not know C++20 for nvcc 13, and
# what ptxas says of each kernel is kept, for the test that reads it.
include_guard(GLOBAL)

set(VADE_CUDA AUTO CACHE STRING "Build the GPU's library: AUTO where nvcc is found, ON, OFF")
set(VADE_CUDA_ARCHITECTURES "80;90" CACHE STRING
    "Compute capabilities to compile for, as numbers, or all that nvcc knows: \"all\"; PTX of the last one goes along")
if(NOT VADE_CUDA)
  return()
endif()
find_program(NVCC nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin)
if(NOT NVCC)
  if(VADE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "VADE_CUDA=ON, but there is no nvcc; set CUDA_PATH to a CUDA toolkit of version 12 or later")
  endif()
  message(STATUS "no nvcc: built without the GPU's library")
  return()
endif()

get_filename_component(cuda_root ${NVCC} DIRECTORY)
get_filename_component(cuda_root ${cuda_root} DIRECTORY)
find_library(CUDART_STATIC cudart_static HINTS ${cuda_root} PATH_SUFFIXES lib64 lib targets/x86_64-linux/lib REQUIRED)
find_path(CUDA_INCLUDE cuda_runtime_api.h HINTS ${cuda_root} PATH_SUFFIXES include targets/x86_64-linux/include REQUIRED)

# int8 tensor cores of this shape came with 8.0.
set(architectures ${VADE_CUDA_ARCHITECTURES})
if(architectures STREQUAL "all")
  execute_process(COMMAND ${NVCC} --list-gpu-arch OUTPUT_VARIABLE known COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "compute_[0-9]+" known "${known}")
  set(architectures "")
  foreach(name IN LISTS known)
    string(REPLACE "compute_" "" number ${name})
    if(number GREATER_EQUAL 80)
      list(APPEND architectures ${number})
    endif()
  endforeach()
  list(SORT architectures COMPARE NATURAL)
endif()
set(code_flags "")
foreach(number IN LISTS architectures)
  list(APPEND code_flags -gencode arch=compute_${number},code=sm_${number})
endforeach()
list(GET architectures -1 newest)
list(APPEND code_flags -gencode arch=compute_${newest},code=compute_${newest})
message(STATUS "the GPU's library: ${NVCC}, compute capabilities ${architectures}")

set(objects_dir ${PROJECT_BINARY_DIR}/cuda)
file(MAKE_DIRECTORY ${objects_dir})
file(GLOB kernel_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu)
set(kernel_objects "")
foreach(file IN LISTS kernel_files)
  get_filename_component(name ${file} NAME_WE)
  set(object ${objects_dir}/${name}.o)
  add_custom_command(
    OUTPUT ${object} ${object}.ptxas
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${object}.ptxas -P ${PROJECT_SOURCE_DIR}/cmake/run_logged.cmake --
            ${NVCC} -std=c++20 --expt-relaxed-constexpr -O3 -I${PROJECT_SOURCE_DIR} ${code_flags} -Xptxas -v
            -Werror all-warnings -Xcompiler -fPIC,-Wall,-fvisibility=hidden -MD -MF ${object}.d -c ${file} -o ${object}
    DEPENDS ${file} ${PROJECT_SOURCE_DIR}/cmake/run_logged.cmake
    DEPFILE ${object}.d
    COMMENT "Compiling ${name}.cu for ${architectures}"
    VERBATIM COMMAND_EXPAND_LISTS)
  list(APPEND kernel_objects ${object})
endforeach()

# The host's side, shared by the library and the tests that run on a device.
add_library(vade_cuda_host STATIC
            ${kernel_objects}
            ${PROJECT_SOURCE_DIR}/kernels/cuda/arena.cc
            ${PROJECT_SOURCE_DIR}/kernels/cuda/plans.cc
            ${PROJECT_SOURCE_DIR}/kernels/cuda/runtime_device.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_attention.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_backend.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_best.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_encoder.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_graphs.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_scanner.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_staging.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_step.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_uploads.cc)
target_include_directories(vade_cuda_host SYSTEM PRIVATE ${CUDA_INCLUDE})
target_link_libraries(vade_cuda_host PUBLIC vade_model vade_kernels vade_base ${CUDART_STATIC} rt dl)

add_library(vade_cuda MODULE ${PROJECT_SOURCE_DIR}/model/cuda_entry.cc)
target_link_libraries(vade_cuda PRIVATE vade_cuda_host)
target_compile_definitions(vade_cuda PRIVATE VADE_CUDA_ABI="${VADE_CUDA_ABI}")
# Nothing but the entry is seen from outside, and what is inside comes from inside.
set(exports ${PROJECT_SOURCE_DIR}/cmake/cuda_exports.map)
target_link_options(vade_cuda PRIVATE -Wl,--version-script=${exports} -Wl,-Bsymbolic -Wl,--no-undefined)
set_target_properties(vade_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR} LINK_DEPENDS ${exports})

if(VADE_TESTS)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  add_test(NAME cuda_resources
           COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/tools/cuda_resources.py
                   ${PROJECT_SOURCE_DIR}/kernels/cuda ${objects_dir})
  add_test(NAME cuda_resources_finds_violations
           COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/tools/cuda_resources.py --self-test)
  # The suites of tests/cuda that the emulation runs, on the device of the machine.
  add_library(vade_cuda_device STATIC ${PROJECT_SOURCE_DIR}/tests/testing/cuda/memory_device.cc)
  target_link_libraries(vade_cuda_device PUBLIC vade_cuda_host)
  vade_test_binary(cuda_device cuda cuda_device_test
                   "${PROJECT_SOURCE_DIR}/tests/cuda/product_test.cc;${PROJECT_SOURCE_DIR}/tests/cuda/attention_test.cc;${PROJECT_SOURCE_DIR}/tests/cuda/decoder_test.cc;${PROJECT_SOURCE_DIR}/tests/cuda/best_test.cc;${PROJECT_SOURCE_DIR}/tests/cuda/graphs_test.cc;${PROJECT_SOURCE_DIR}/tests/cuda/encoder_kernels_test.cc;${PROJECT_SOURCE_DIR}/tests/cuda/encoder_test.cc;${PROJECT_SOURCE_DIR}/tests/cuda/scan_test.cc"
                   "cuda:")
  set_tests_properties(cuda_resources cuda_resources_finds_violations PROPERTIES LABELS unit)
endif()
