// Buffers of a call, checked before anything reads them.
#pragma once

#include <initializer_list>
#include <sstream>
#include <string>

#include "xla/ffi/api/ffi.h"

namespace jaxode {

namespace ffi = ::xla::ffi;

// Collects the first thing that is wrong with a call's buffers; until then hands out their addresses.
class Arguments {
 public:
  Arguments(ffi::RemainingArgs args, ffi::RemainingRets rets) : args_(args), rets_(rets) {}

  // The next argument or result, which must be float32 and have this shape.
  const float* in(const char* name, std::initializer_list<int64_t> shape) {
    if (next_in_ >= args_.size()) return fail(std::string(name) + " is missing"), nullptr;
    return checked(args_.get<ffi::AnyBuffer>(next_in_++), name, shape);
  }
  float* out(const char* name, std::initializer_list<int64_t> shape) {
    if (next_out_ >= rets_.size()) return fail(std::string(name) + " is missing"), nullptr;
    auto found = rets_.get<ffi::AnyBuffer>(next_out_++);
    if (found.has_error()) return fail(std::string(name) + " cannot be read"), nullptr;
    return const_cast<float*>(address(**found, name, shape));
  }
  // The shape of the next argument, which stays the next, or of one further on; empty if there is none.
  ffi::Span<const int64_t> shape_of_next(size_t further = 0) {
    if (next_in_ + further >= args_.size()) return {};
    auto found = args_.get<ffi::AnyBuffer>(next_in_ + further);
    return found.has_error() ? ffi::Span<const int64_t>{} : found->dimensions();
  }
  void require(bool holds, const char* what) {
    if (!holds) fail(what);
  }
  // Whether every buffer was as asked for and none is left over; if not, what was wrong.
  ffi::Error finish(const char* call) {
    if (problem_.empty() && (next_in_ != args_.size() || next_out_ != rets_.size())) fail("there are more buffers than expected");
    if (problem_.empty()) return ffi::Error::Success();
    return ffi::Error::InvalidArgument("jaxode's native " + std::string(call) + ": " + problem_);
  }

 private:
  void fail(const std::string& what) {
    if (problem_.empty()) problem_ = what;
  }
  const float* checked(ffi::ErrorOr<ffi::AnyBuffer> found, const char* name, std::initializer_list<int64_t> shape) {
    if (found.has_error()) return fail(std::string(name) + " cannot be read"), nullptr;
    return address(*found, name, shape);
  }
  const float* address(const ffi::AnyBuffer& buffer, const char* name, std::initializer_list<int64_t> shape) {
    const auto has = buffer.dimensions();
    bool same = buffer.element_type() == ffi::F32 && has.size() == shape.size();
    for (size_t i = 0; same && i < has.size(); i++) same = has[i] == shape.begin()[i];
    if (!same) return fail(std::string(name) + " must be float32 [" + text(shape.begin(), shape.size()) + "], and is " +
                           text(buffer.element_type()) + " [" + text(has.begin(), has.size()) + "]"), nullptr;
    return static_cast<const float*>(buffer.untyped_data());
  }
  static std::string text(const int64_t* numbers, size_t count) {
    std::string all;
    for (size_t i = 0; i < count; i++) all += (i ? ", " : "") + std::to_string(numbers[i]);
    return all;
  }
  static std::string text(ffi::DataType type) {
    std::ostringstream name;
    name << type;
    return name.str();
  }

  ffi::RemainingArgs args_;
  ffi::RemainingRets rets_;
  size_t next_in_ = 0, next_out_ = 0;
  std::string problem_;
};

}  // namespace jaxode
