// Work shared out over XLA's own threads.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <thread>

#include "xla/ffi/api/ffi.h"

namespace jaxode {

// Runs job(0), ..., job(parts - 1), each once, on the pool's threads and on this one, and returns when all are done.
// Waits only for parts that somebody has begun, so that it ends also where all threads of the pool are busy, or where
// this is one of them. A thread that comes late finds nothing to do.
template <class Job>
void parallel(::xla::ffi::ThreadPool& pool, int parts, const Job& job) {
  if (parts == 1) return job(0);
  struct Shared {
    std::atomic<int> next{0}, done{0};
    std::atomic<bool> failed{false};
  };
  auto shared = std::make_shared<Shared>();
  auto work = [shared, parts, &job] {
    for (int part; (part = shared->next.fetch_add(1)) < parts;) {
      try {
        job(part);
      } catch (...) {  // an exception may not leave a thread of the pool
        shared->failed = true;
      }
      shared->done.fetch_add(1);
    }
  };
  const int helpers = parts - 1 < (int)pool.num_threads() ? parts - 1 : (int)pool.num_threads();
  for (int i = 0; i < helpers; i++) pool.Schedule(std::function<void()>(work));
  work();
  for (int turn = 0; shared->done.load() < parts; turn++) {
    if (turn > 200) std::this_thread::yield();
  }
  if (shared->failed) throw std::bad_alloc();
}

}  // namespace jaxode
