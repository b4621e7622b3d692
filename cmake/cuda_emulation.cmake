# The kernels of kernels/cuda compiled by the C++ compiler against the emulation of tests/testing/cuda:
# what their tests run on machines without a GPU (docs/gpu.md).
include_guard(GLOBAL)
find_package(Boost REQUIRED COMPONENTS context)

file(GLOB kernel_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu)
set_source_files_properties(${kernel_files} PROPERTIES LANGUAGE CXX)
add_library(vade_cuda_emulated STATIC
            ${kernel_files}
            ${PROJECT_SOURCE_DIR}/kernels/cuda/plans.cc
            ${PROJECT_SOURCE_DIR}/kernels/cuda/arena.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_attention.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_backend.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_best.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_encoder.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_graphs.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_scanner.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_staging.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_step.cc
            ${PROJECT_SOURCE_DIR}/model/cuda_uploads.cc
            ${PROJECT_SOURCE_DIR}/tests/testing/cuda/engine.cc
            ${PROJECT_SOURCE_DIR}/tests/testing/cuda/fake_device.cc
            ${PROJECT_SOURCE_DIR}/tests/testing/cuda/kernels_run.cc
            ${PROJECT_SOURCE_DIR}/tests/testing/cuda/shadow.cc
            ${PROJECT_SOURCE_DIR}/tests/testing/cuda/memory_emulated.cc)
target_include_directories(vade_cuda_emulated PUBLIC ${PROJECT_SOURCE_DIR}/tests/testing/cuda)
target_compile_options(vade_cuda_emulated PRIVATE -Wno-unknown-pragmas)  # unroll
target_link_libraries(vade_cuda_emulated PUBLIC vade_model vade_kernels vade_base PRIVATE Boost::context)

file(GLOB suites CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/cuda/*_test.cc)
if(NOT TARGET vade_index)
  list(FILTER suites EXCLUDE REGEX "/store_search_test\\.cc$")
endif()
if(NOT TARGET vade_generator)
  list(FILTER suites EXCLUDE REGEX "/sampling_test\\.cc$")
endif()
vade_test_binary(cuda_emulated unit cuda_emulated_test "${suites}" "emulated:")
if(TARGET vade_index)
  target_link_libraries(cuda_emulated_test PRIVATE vade_index)
endif()
if(TARGET vade_generator)
  target_link_libraries(cuda_emulated_test PRIVATE vade_generator)
endif()

# That the suites run every kernel, and that this would be seen.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(coverage Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/tools/cuda_coverage.py)
set(compiled "")
if(TARGET vade_cuda)
  set(compiled ${PROJECT_BINARY_DIR}/cuda)
endif()
add_test(NAME cuda_coverage
         COMMAND ${coverage} ${PROJECT_SOURCE_DIR}/kernels/cuda $<TARGET_FILE:cuda_emulated_test> ${compiled})
add_test(NAME cuda_coverage_finds_gaps COMMAND ${coverage} --self-test $<TARGET_FILE:cuda_emulated_test>)
set_tests_properties(cuda_coverage cuda_coverage_finds_gaps PROPERTIES LABELS unit TIMEOUT 900)
