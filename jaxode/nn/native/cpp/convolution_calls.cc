// Calls of single layers: a convolution, a group norm, and their gradients.

#include "calls.h"
#include "norm.h"
#include "sums.h"

namespace jaxode {
namespace {

struct ConvolutionCall {
  int64_t batch = 0, height = 0, width = 0, inner = 0, outer = 0;      // of the input; channels
  int64_t out_height = 0, out_width = 0, taps = 3;
  int phases = 1;
  int step() const { return phases == 1 ? 1 : 2; }
};

// Stride 1 has three taps, stride 2 four; both have padding 1. x is the next argument, `outer` an attribute.
ConvolutionCall convolution_call(Arguments& args, int64_t stride, int64_t outer) {
  ConvolutionCall call;
  const auto shape = args.shape_of_next();
  args.require(stride == 1 || stride == 2, "stride must be 1 or 2");
  args.require(shape.size() == 4, "the map must have four dimensions");
  if (shape.size() != 4) return call;
  call.batch = shape[0], call.height = shape[1], call.width = shape[2], call.inner = shape[3], call.outer = outer;
  const bool small = fits(call.height, call.width, call.inner) && call.batch >= 0 && call.batch <= INT32_MAX;
  args.require(small, kMisfit);
  if (!small) return call;
  call.phases = stride == 2 ? 4 : 1, call.taps = stride == 2 ? 4 : 3;
  call.out_height = stride == 2 ? (call.height - 2) / 2 + 1 : call.height;
  call.out_width = stride == 2 ? (call.width - 2) / 2 + 1 : call.width;
  args.require(stride == 1 || (call.height >= 2 && call.width >= 2), "a convolution of stride 2 needs two rows and columns");
  args.require(fits(call.out_height, call.out_width, outer), kMisfit);
  return call;
}

// Calls body with the scheme that needs the fewest products for an output of this size.
template <class Body>
void with_scheme(const ConvolutionCall& call, const Body& body) {
  const int h = (int)call.out_height, w = (int)call.out_width, ih = (int)call.height, iw = (int)call.width;
  if (call.phases == 1) return body(Tiling<TwoOfThree>(h, w, ih, iw, 1));
  const Tiling<TwoOfTwo> two(h, w, ih, iw, 2);
  const Tiling<ThreeOfTwo> three(h, w, ih, iw, 2);
  if (two.tiles * two.nn < three.tiles * three.nn) body(two);
  else body(three);
}

template <int L, template <int> class Scheme>
void run_forward(ffi::ThreadPool& pool, const ConvolutionCall& call, const Tiling<Scheme>& grid, const float* x,
                 const float* kernel, float* y) {
  const int inner = (int)call.inner, outer = (int)call.outer;
  Workspace room;
  float* u = room.take((size_t)call.phases * grid.nn * inner * outer);
  transform_phases<Scheme, L>(kernel, call.phases, (int)call.taps, inner, outer, 0, u);
  const Parts parts(threads_of(pool), call.batch);
  parallel(pool, parts.count, [&](int part) {
    convolve<Scheme, L>(grid, inner, outer, x, u, y, parts.begin(part), parts.end(part));
  });
}

template <int L, template <int> class Scheme>
void run_backward(ffi::ThreadPool& pool, const ConvolutionCall& call, int64_t examples, const Tiling<Scheme>& grid,
                  const float* x, const float* dy, const float* kernel, float* dx, float* dkernel) {
  const int inner = (int)call.inner, outer = (int)call.outer;
  const size_t all = (size_t)call.phases * grid.nn * inner * outer;
  Workspace room;
  float* ut = room.take(all);
  transform_phases<Scheme, L>(kernel, call.phases, (int)call.taps, outer, inner, 0, ut);
  for_examples(pool, examples, [&](int64_t example, int threads) {
    const int images = (int)(call.batch / examples), first = (int)example * images;
    const Parts parts(threads, images);
    Workspace own;
    float* sums = own.take(parts.count * all);
    parallel(pool, parts.count, [&](int part) {
      std::memset(sums + part * all, 0, all * sizeof(float));
      if (images == 0) return;
      convolve_backward<Scheme, L>(grid, inner, outer, x, ut, dy, dx, sums + part * all, first + parts.begin(part),
                                   first + parts.end(part));
    });
    sum_parts(sums, parts.count, all, 0, all);
    float* to = dkernel + example * call.taps * call.taps * inner * outer;
    transform_phases_transpose<Scheme, L>(sums, call.phases, (int)call.taps, inner, outer, 0, to);
  });
}

// Arguments: x, kernel [taps][taps][I][O]. Result: their convolution.
ffi::Error convolution(ffi::ThreadPool pool, int64_t stride, int64_t outer, ffi::RemainingArgs in, ffi::RemainingRets out) {
  Arguments args(in, out);
  const ConvolutionCall call = convolution_call(args, stride, outer);
  const float* x = args.in("the map", {call.batch, call.height, call.width, call.inner});
  const float* kernel = args.in("the kernel", {call.taps, call.taps, call.inner, call.outer});
  float* y = args.out("the result", {call.batch, call.out_height, call.out_width, call.outer});
  if (auto problem = args.finish("convolution"); problem.failure()) return problem;
  if (call.batch == 0) return ffi::Error::Success();
  return with_lanes(call.inner | call.outer, [&](auto lanes) {
    with_scheme(call, [&](const auto& grid) { run_forward<decltype(lanes)::value>(pool, call, grid, x, kernel, y); });
    return ffi::Error::Success();
  });
}

// Arguments: x, the result's gradient, the kernel with its channels exchanged [taps][taps][O][I]. Results: the
// gradients of x and, for each example, of the kernel.
ffi::Error convolution_gradient(ffi::ThreadPool pool, int64_t stride, int64_t outer, int64_t examples,
                                ffi::RemainingArgs in, ffi::RemainingRets out) {
  Arguments args(in, out);
  const ConvolutionCall call = convolution_call(args, stride, outer);
  const float* x = args.in("the map", {call.batch, call.height, call.width, call.inner});
  const float* dy = args.in("the result's gradient", {call.batch, call.out_height, call.out_width, call.outer});
  const float* kernel = args.in("the kernel", {call.taps, call.taps, call.outer, call.inner});
  args.require(divides(examples, call.batch), kNoExamples);
  float* dx = args.out("the map's gradient", {call.batch, call.height, call.width, call.inner});
  float* dkernel = args.out("the kernel's gradient", {examples, call.taps, call.taps, call.inner, call.outer});
  if (auto problem = args.finish("convolution's gradient"); problem.failure()) return problem;
  return with_lanes(call.inner | call.outer, [&](auto lanes) {
    with_scheme(call, [&](const auto& grid) {
      run_backward<decltype(lanes)::value>(pool, call, examples, grid, x, dy, kernel, dx, dkernel);
    });
    return ffi::Error::Success();
  });
}

MapShape norm_call(Arguments& args, int64_t groups, float eps, int64_t& batch) {
  const auto shape = args.shape_of_next();
  args.require(shape.size() == 4, "the map must have four dimensions");
  if (shape.size() != 4) return {};
  const bool good = fits(shape[1], shape[2], shape[3]) && shape[0] >= 0 && shape[0] <= INT32_MAX;
  args.require(good, kMisfit);
  if (!good) return {};
  args.require(groups >= 1 && shape[3] % (groups < 1 ? 1 : groups) == 0, "groups must divide the channels");
  batch = shape[0];
  return {(int)shape[1], (int)shape[2], (int)shape[3], (int)groups, eps};
}

// Arguments: x, scale, bias. Result: the group norm.
ffi::Error group_norm(ffi::ThreadPool pool, int64_t groups, float eps, ffi::RemainingArgs in, ffi::RemainingRets out) {
  Arguments args(in, out);
  int64_t batch = 0;
  const MapShape shape = norm_call(args, groups, eps, batch);
  const std::initializer_list<int64_t> map = {batch, shape.height, shape.width, shape.channels};
  const float* x = args.in("the map", map);
  const float* scale = args.in("the scale", {shape.channels});
  const float* bias = args.in("the bias", {shape.channels});
  float* y = args.out("the result", map);
  if (auto problem = args.finish("group norm"); problem.failure()) return problem;
  return with_lanes(shape.channels, [&](auto lanes) {
    constexpr int L = decltype(lanes)::value;
    const Parts parts(threads_of(pool), batch);
    const size_t row = (size_t)shape.width * shape.channels;
    parallel(pool, parts.count, [&](int part) {
      Workspace room;
      const Statistics stats{room.take(shape.channels), room.take(shape.channels)};
      for (int b = parts.begin(part); b < parts.end(part); b++) {
        statistics<L>(x + b * shape.size(), shape, stats);
        apply_norm<L, false>(x + b * shape.size(), shape, stats, scale, bias, y + b * shape.size(), row, row);
      }
    });
    return ffi::Error::Success();
  });
}

// Arguments: x, the result's gradient, scale. Results: the gradients of x and, for each example, of scale and bias.
ffi::Error group_norm_gradient(ffi::ThreadPool pool, int64_t groups, float eps, int64_t examples, ffi::RemainingArgs in,
                               ffi::RemainingRets out) {
  Arguments args(in, out);
  int64_t batch = 0;
  const MapShape shape = norm_call(args, groups, eps, batch);
  const std::initializer_list<int64_t> map = {batch, shape.height, shape.width, shape.channels};
  const float* x = args.in("the map", map);
  const float* dy = args.in("the result's gradient", map);
  const float* scale = args.in("the scale", {shape.channels});
  args.require(divides(examples, batch), kNoExamples);
  float* dx = args.out("the map's gradient", map);
  float* dscale = args.out("the scale's gradient", {examples, shape.channels});
  float* dbias = args.out("the bias's gradient", {examples, shape.channels});
  if (auto problem = args.finish("group norm's gradient"); problem.failure()) return problem;
  return with_lanes(shape.channels, [&](auto lanes) {
    constexpr int L = decltype(lanes)::value;
    const size_t row = (size_t)shape.width * shape.channels, each = 2 * (size_t)shape.channels;
    for_examples(pool, examples, [&](int64_t example, int threads) {
      const int images = (int)(batch / examples), first = (int)example * images;
      const Parts parts(threads, images);
      Workspace all;
      float* sums = all.zeros(parts.count * each);
      parallel(pool, parts.count, [&](int part) {
        Workspace room;
        float *means = room.take(each), *own = sums + part * each;
        const Statistics stats{room.take(shape.channels), room.take(shape.channels)};
        for (int b = first + parts.begin(part); b < first + parts.end(part); b++) {
          const size_t at = b * shape.size();
          statistics<L>(x + at, shape, stats);
          norm_gradient<L, false>(x + at, shape, stats, scale, scale, dy + at, row, own, own + shape.channels, dx + at,
                                  nullptr, means);
        }
      });
      sum_parts(sums, parts.count, each, 0, each);
      std::memcpy(dscale + example * shape.channels, sums, shape.channels * sizeof(float));
      std::memcpy(dbias + example * shape.channels, sums + shape.channels, shape.channels * sizeof(float));
    });
    return ffi::Error::Success();
  });
}

}  // namespace
}  // namespace jaxode

namespace ffi = ::xla::ffi;

#define JAXODE_CONVOLUTION ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Attr<int64_t>("stride").Attr<int64_t>("outer")
#define JAXODE_NORM ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Attr<int64_t>("groups").Attr<float>("eps")
#define JAXODE_REST RemainingArgs().RemainingRets()

XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxodeConvolution, jaxode::convolution, JAXODE_CONVOLUTION.JAXODE_REST);
XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxodeConvolutionGradient, jaxode::convolution_gradient,
                              JAXODE_CONVOLUTION.Attr<int64_t>("examples").JAXODE_REST);
XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxodeGroupNorm, jaxode::group_norm, JAXODE_NORM.JAXODE_REST);
XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxodeGroupNormGradient, jaxode::group_norm_gradient,
                              JAXODE_NORM.Attr<int64_t>("examples").JAXODE_REST);
