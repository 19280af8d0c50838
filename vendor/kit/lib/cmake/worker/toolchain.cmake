# cmake -DCMAKE_TOOLCHAIN_FILE=THIS: static workers by the kit's compilers.
get_filename_component(_worker_kit "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(CMAKE_C_COMPILER "${_worker_kit}/bin/worker-cc")
set(CMAKE_CXX_COMPILER "${_worker_kit}/bin/worker-c++")
list(APPEND CMAKE_PREFIX_PATH "${_worker_kit}")
