// Memory that a program writes before it reads it, such as the tape of a solve: XLA would fill it with zeros.

#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "xla/ffi/api/ffi.h"

namespace jaxode {
namespace {

namespace ffi = ::xla::ffi;

// Asks for large pages. XLA allocates anew at every call of a program, so that each page is faulted in each time;
// of 4 KB ones, a training step's memory has sixty thousand.
void advise(void* data, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t kPage = uintptr_t{1} << 21;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / kPage * kPage;
  // A system that has none goes on with small ones.
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)data, (void)bytes;
#endif
}

ffi::Error uninitialized(ffi::Result<ffi::AnyBuffer> result) {
  advise(result->untyped_data(), result->size_bytes());
  return ffi::Error::Success();
}

}  // namespace
}  // namespace jaxode

namespace ffi = ::xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxodeUninitialized, jaxode::uninitialized, ffi::Ffi::Bind().Ret<ffi::AnyBuffer>());
