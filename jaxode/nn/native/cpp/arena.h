// A thread's workspace: memory that stays with the thread, so that a call faults in no pages anew.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

namespace jaxode {

// Hands out arrays of floats until it is destroyed. What one thread's scopes take comes from blocks that the thread
// keeps; scopes may be nested, and end in the reverse order. Under JAXODE_SANITIZE every array is an allocation of
// its own, so that a sanitiser sees what is read or written beside it.
class Workspace {
 public:
  Workspace() : mark_(pool().used), block_(pool().block) {}
  ~Workspace() {
    pool().used = mark_, pool().block = block_;
    for (float* array : own_) std::free(array);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  float* take(size_t floats) {
    const size_t rounded = (floats + kStep - 1) / kStep * kStep;
#ifdef JAXODE_SANITIZE
    own_.push_back(allocate(rounded));
    return own_.back();
#else
    Pool& p = pool();
    while (p.block < p.blocks.size() && p.used + rounded > p.blocks[p.block].floats) p.block++, p.used = 0;
    if (p.block == p.blocks.size()) {
      const size_t size = rounded > kBlock ? rounded : kBlock;
      p.blocks.push_back({std::unique_ptr<float, Free>(allocate(size)), size});
    }
    float* found = p.blocks[p.block].data.get() + p.used;
    p.used += rounded;
    return found;
#endif
  }

  float* zeros(size_t floats) {
    float* found = take(floats);
    std::memset(found, 0, floats * sizeof(float));
    return found;
  }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  struct Block {
    std::unique_ptr<float, Free> data;
    size_t floats;
  };
  struct Pool {
    std::vector<Block> blocks;
    size_t block = 0, used = 0;
  };
  static constexpr size_t kStep = 16, kBlock = 1 << 18;  // a line of the cache; 1 MB

  static Pool& pool() {
    static thread_local Pool pool;
    return pool;
  }
  static float* allocate(size_t floats) {
    void* data = nullptr;
#ifdef _WIN32
    data = std::malloc(floats * sizeof(float));
#else
    if (posix_memalign(&data, kStep * sizeof(float), floats * sizeof(float)) != 0) data = nullptr;
#endif
    if (data == nullptr) throw std::bad_alloc();
    return static_cast<float*>(data);
  }

  size_t mark_, block_;
  std::vector<float*> own_;
};

}  // namespace jaxode
