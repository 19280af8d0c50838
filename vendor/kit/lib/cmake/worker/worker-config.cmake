# find_package(worker): the targets worker::worker and worker::gpu. toolchain.cmake beside this file
# makes worker-cc and worker-c++ the compilers.
get_filename_component(_worker_kit "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET worker::worker)
  add_library(worker::worker STATIC IMPORTED)
  set_target_properties(worker::worker PROPERTIES
    IMPORTED_LOCATION "${_worker_kit}/lib/libworker.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_worker_kit}/include"
    INTERFACE_LINK_LIBRARIES "-Wl,--gc-sections")
  add_library(worker::gpu STATIC IMPORTED)
  set_target_properties(worker::gpu PROPERTIES
    IMPORTED_LOCATION "${_worker_kit}/lib/libworker_gpu.a"
    INTERFACE_LINK_LIBRARIES worker::worker)
endif()
