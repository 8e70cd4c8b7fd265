// Calls of chains: the field of an ODE block, and a residual block.

#include <array>

#include "calls.h"
#include "chain.h"

namespace jaxode {
namespace {

struct ChainCall {
  MapShape shape{};
  int64_t batch = 0, inner = 0, times = 0;  // times: how many
  int units = 0;
  Tail tail = Tail::nothing;
  bool timed = false;
};

// The map's shape and what the attributes say of the chain: `times` is 0 for none, 1 for one, 2 for one for each image.
// The times, if any, and z are the next arguments.
ChainCall chain_call(Arguments& args, int64_t groups, float eps, int64_t units, int64_t tail, int64_t times) {
  ChainCall call;
  const auto shape = args.shape_of_next(times > 0);
  args.require(shape.size() == 4, "the state must have four dimensions");
  if (shape.size() != 4) return call;
  const int64_t height = shape[1], width = shape[2], channels = shape[3];
  args.require(fits(height, width, channels), kMisfit);
  args.require(shape[0] >= 0 && shape[0] <= INT32_MAX, "the batch is too large");
  args.require(groups >= 1 && channels % (groups < 1 ? 1 : groups) == 0, "groups must divide the channels");
  args.require(units >= 1 && units <= kUnits, "one or two units");
  args.require(tail >= 0 && tail <= 2, "no such tail");
  args.require(times >= 0 && times <= 2, "no times, one time, or one for each image");
  call.shape = {(int)height, (int)width, (int)channels, (int)groups, eps};
  call.batch = shape[0], call.times = times == 2 ? shape[0] : times, call.tail = (Tail)tail, call.timed = times > 0;
  call.inner = channels + (call.timed ? 1 : 0);
  call.units = units >= 1 && units <= kUnits ? (int)units : 0;  // what is refused below must not be looped over before
  return call;
}

// plane[H][W][C]: the convolution of a plane of ones, zero outside, with the taps [3][3][inner][C]'s first channel.
template <int L>
void time_plane(const float* taps, int inner, const MapShape& shape, float* plane) {
  const int channels = shape.channels;
  for (int y = 0; y < shape.height; y++) {
    for (int x = 0; x < shape.width; x++) {
      for (int c = 0; c < channels; c += L) {
        Vec<L> sum = {};
        for (int i = 0; i < 3; i++) {
          for (int j = 0; j < 3; j++) {
            const bool there = y + i >= 1 && y + i <= shape.height && x + j >= 1 && x + j <= shape.width;
            if (there) sum += load<L>(taps + (size_t)(i * 3 + j) * inner * channels + c);
          }
        }
        store<L>(plane + ((size_t)y * shape.width + x) * channels + c, sum);
      }
    }
  }
}

// Its transpose: the gradient of the taps, written, and of the plane's sum with the convolution's bias, dbias.
template <int L>
void time_plane_transpose(const float* dplane, float factor, const MapShape& shape, int inner, float* dtaps) {
  const int channels = shape.channels;
  for (int c = 0; c < channels; c += L) {
    Vec<L> sums[9] = {};
    for (int y = 0; y < shape.height; y++) {
      for (int x = 0; x < shape.width; x++) {
        const Vec<L> slope = load<L>(dplane + ((size_t)y * shape.width + x) * channels + c);
        for (int i = 0; i < 3; i++) {
          for (int j = 0; j < 3; j++) {
            const bool there = y + i >= 1 && y + i <= shape.height && x + j >= 1 && x + j <= shape.width;
            if (there) sums[i * 3 + j] += slope;
          }
        }
      }
    }
    for (int k = 0; k < 9; k++) store<L>(dtaps + (size_t)k * inner * channels + c, splat<L>(factor) * sums[k]);
  }
}

constexpr int kPlanes = 16;  // of F(2x2, 3x3)

// Arguments: times [T] if T > 0, z, for each unit scale, bias, kernel [3][3][I][C] and, with times, the convolution's
// bias; for a norm at the end its scale and bias. Results: the chain's output and, if kept, those of the convolutions
// that a gradient needs.
ffi::Error chain_forward_call(ffi::ThreadPool pool, int64_t groups, float eps, int64_t units, int64_t tail, int64_t times,
                              bool keep, ffi::RemainingArgs in, ffi::RemainingRets out) {
  Arguments args(in, out);
  const ChainCall call = chain_call(args, groups, eps, units, tail, times);
  const float* time = call.timed ? args.in("the times", {call.times}) : nullptr;
  const int64_t batch = call.batch, channels = call.shape.channels;
  const std::initializer_list<int64_t> map = {batch, call.shape.height, call.shape.width, channels};
  const float* z = args.in("the state", map);
  std::array<const float*, kUnits> kernels{};
  Chain chain{};
  chain.shape = call.shape, chain.units = call.units, chain.tail = call.tail;
  chain.times = time, chain.own_times = times == 2;
  for (int k = 0; k < call.units; k++) {
    chain.unit[k].scale = args.in("a norm's scale", {channels});
    chain.unit[k].bias = args.in("a norm's bias", {channels});
    kernels[k] = args.in("a kernel", {3, 3, call.inner, channels});
    if (call.timed) chain.unit[k].shift = args.in("a convolution's bias", {channels});
  }
  if (call.tail == Tail::norm) {
    chain.tail_scale = args.in("the last norm's scale", {channels});
    chain.tail_bias = args.in("the last norm's bias", {channels});
  }
  float* result = args.out("the result", map);
  std::array<float*, kUnits> kept{};
  if (keep) {
    for (int k = 0; k < call.units - (call.tail == Tail::norm ? 0 : 1); k++) kept[k] = args.out("a kept map", map);
  }
  if (auto problem = args.finish("chain"); problem.failure()) return problem;
  if (batch == 0) return ffi::Error::Success();
  return with_lanes(channels, [&](auto lanes) {
    constexpr int L = decltype(lanes)::value;
    Workspace room;
    float* u[kUnits] = {};
    float* plane[kUnits] = {};
    for (int k = 0; k < chain.units; k++) {
      u[k] = room.take(kPlanes * (size_t)channels * channels);
      if (call.timed) plane[k] = room.take(chain.shape.size());
    }
    const Parts parts(threads_of(pool), batch);
    parallel(pool, parts.count > 1 ? chain.units : 1, [&](int part) {
      for (int k = part; k < (parts.count > 1 ? part + 1 : chain.units); k++) {
        const Taps taps{3, (int)call.inner, (int)channels, 0, 0, 1, call.timed ? 1 : 0};
        transform_kernel<TwoOfThree, L>(kernels[k], taps, u[k]);
        if (call.timed) time_plane<L>(kernels[k], (int)call.inner, chain.shape, plane[k]);
      }
    });
    for (int k = 0; k < chain.units; k++) chain.unit[k].u = u[k], chain.unit[k].plane = plane[k];
    parallel(pool, parts.count, [&](int part) {
      chain_forward<L>(chain, z, result, kept.data(), parts.begin(part), parts.end(part));
    });
    return ffi::Error::Success();
  });
}

// Arguments: times if T > 0, z, the kept maps, the result's gradient, for each unit scale, bias, the kernel with its
// channels exchanged [3][3][C][C] and, with times, the taps of time [3][3][C]; a last norm's scale. Results: the
// gradients of the times if T > 0, of z and, for each of E examples, of the parameters of `chain_forward_call` in their
// order; of a single time the gradient is a sum for each example, too.
ffi::Error chain_backward_call(ffi::ThreadPool pool, int64_t groups, float eps, int64_t units, int64_t tail, int64_t times,
                               int64_t examples, ffi::RemainingArgs in, ffi::RemainingRets out) {
  Arguments args(in, out);
  const ChainCall call = chain_call(args, groups, eps, units, tail, times);
  const float* time = call.timed ? args.in("the times", {call.times}) : nullptr;
  const int64_t batch = call.batch, channels = call.shape.channels;
  const std::initializer_list<int64_t> map = {batch, call.shape.height, call.shape.width, channels};
  const float* z = args.in("the state", map);
  std::array<const float*, kUnits> kept{}, kernels{}, time_taps{};
  for (int k = 0; k < call.units - (call.tail == Tail::norm ? 0 : 1); k++) kept[k] = args.in("a kept map", map);
  const float* dout = args.in("the result's gradient", map);
  Chain chain{};
  chain.shape = call.shape, chain.units = call.units, chain.tail = call.tail;
  chain.times = time, chain.own_times = times == 2;
  for (int k = 0; k < call.units; k++) {
    chain.unit[k].scale = args.in("a norm's scale", {channels});
    chain.unit[k].bias = args.in("a norm's bias", {channels});
    kernels[k] = args.in("a kernel with its channels exchanged", {3, 3, channels, channels});
    if (call.timed) time_taps[k] = args.in("the taps of time", {3, 3, channels});
  }
  if (call.tail == Tail::norm) chain.tail_scale = chain.tail_bias = args.in("the last norm's scale", {channels});
  args.require(divides(examples, batch), kNoExamples);
  float* dtimes = call.timed ? args.out("the times' gradient", {times == 2 ? batch : examples}) : nullptr;
  float* dz = args.out("the state's gradient", map);
  std::array<float*, kUnits> dscale{}, dbias{}, dkernel{}, dshift{};
  for (int k = 0; k < call.units; k++) {
    dscale[k] = args.out("a norm's scale's gradient", {examples, channels});
    dbias[k] = args.out("a norm's bias's gradient", {examples, channels});
    dkernel[k] = args.out("a kernel's gradient", {examples, 3, 3, call.inner, channels});
    if (call.timed) dshift[k] = args.out("a convolution's bias's gradient", {examples, channels});
  }
  float *dtail_scale = nullptr, *dtail_bias = nullptr;
  if (call.tail == Tail::norm) {
    dtail_scale = args.out("the last norm's scale's gradient", {examples, channels});
    dtail_bias = args.out("the last norm's bias's gradient", {examples, channels});
  }
  if (auto problem = args.finish("chain's gradient"); problem.failure()) return problem;
  return with_lanes(channels, [&](auto lanes) {
    constexpr int L = decltype(lanes)::value;
    const size_t transformed = kPlanes * (size_t)channels * channels, size = chain.shape.size();
    Workspace room;
    float* ut[kUnits] = {};
    float* plane[kUnits] = {};
    for (int k = 0; k < chain.units; k++) {
      ut[k] = room.take(transformed);
      if (call.timed) plane[k] = room.take(size);
    }
    // Where there is work for several threads, the units are prepared and finished side by side.
    const auto each_unit = [&](int threads, const auto& body) {
      if (threads > 1) return parallel(pool, chain.units, body);
      for (int k = 0; k < chain.units; k++) body(k);
    };
    each_unit(Parts(threads_of(pool), batch).count, [&](int k) {
      transform_kernel<TwoOfThree, L>(kernels[k], Taps{3, (int)channels, (int)channels}, ut[k]);
      if (call.timed) time_plane<L>(time_taps[k], 1, chain.shape, plane[k]);
    });
    for (int k = 0; k < chain.units; k++) chain.unit[k].u = ut[k], chain.unit[k].plane = plane[k];
    if (call.timed) std::memset(dtimes, 0, (chain.own_times ? batch : examples) * sizeof(float));
    // A part's sums: for each unit [u | shift | timed | scale | bias], then the last norm's scale and bias.
    const size_t maps = call.timed ? (chain.own_times ? 2 : 1) * size : 0;
    const size_t each = transformed + maps + 2 * channels, all = chain.units * each + 2 * channels;
    const size_t stride = (all + 15) / 16 * 16;
    auto slopes = [&](float* at) {
      ChainSlopes found{};
      for (int k = 0; k < chain.units; k++, at += each) {
        float* norm = at + transformed + maps;
        found.unit[k] = {norm, norm + channels, at, at + transformed, at + transformed + size};
      }
      found.tail_scale = at, found.tail_bias = at + channels;
      return found;
    };
    for_examples(pool, examples, [&](int64_t example, int threads) {
      const int images = (int)(batch / examples), first = (int)example * images;
      const Parts parts(threads, images);
      Workspace own;
      float* sums = own.take(parts.count * stride);
      parallel(pool, parts.count, [&](int part) {
        std::memset(sums + part * stride, 0, all * sizeof(float));
        if (images == 0) return;
        chain_backward<L>(chain, z, kept.data(), dout, dz, slopes(sums + part * stride), dtimes, first + parts.begin(part),
                          first + parts.end(part));
      });
      std::array<float, kUnits> to_time{};
      const ChainSlopes total = slopes(sums);
      const size_t square = 9 * (size_t)call.inner * channels;
      each_unit(parts.count, [&](int k) {
        const bool last = k == chain.units - 1;
        sum_parts(sums, parts.count, stride, k * each, (k + 1) * each + (last ? 2 * channels : 0));
        const UnitSlopes& unit = total.unit[k];
        const Taps taps{3, (int)call.inner, (int)channels, 0, 0, 1, call.timed ? 1 : 0};
        float* to_kernel = dkernel[k] + example * square;
        transform_kernel_transpose<TwoOfThree, L>(unit.u, taps, to_kernel);
        std::memcpy(dscale[k] + example * channels, unit.scale, channels * sizeof(float));
        std::memcpy(dbias[k] + example * channels, unit.bias, channels * sizeof(float));
        if (!call.timed) return;
        float* to_shift = dshift[k] + example * channels;
        std::memset(to_shift, 0, channels * sizeof(float));
        add_pixels<L>(unit.shift, chain.shape, to_shift);
        if (chain.own_times) {
          time_plane_transpose<L>(unit.timed, 1.0f, chain.shape, (int)call.inner, to_kernel);
        } else {
          time_plane_transpose<L>(unit.shift, time[0], chain.shape, (int)call.inner, to_kernel);
          to_time[k] = dot<L>(unit.shift, plane[k], size);
        }
      });
      if (call.timed && !chain.own_times) {
        for (int k = 0; k < chain.units; k++) dtimes[example] += to_time[k];
      }
      if (call.tail == Tail::norm) {
        std::memcpy(dtail_scale + example * channels, total.tail_scale, channels * sizeof(float));
        std::memcpy(dtail_bias + example * channels, total.tail_bias, channels * sizeof(float));
      }
    });
    return ffi::Error::Success();
  });
}

}  // namespace
}  // namespace jaxode


namespace ffi = ::xla::ffi;

#define JAXODE_CHAIN(bind)                                                                                      \
  bind.Ctx<ffi::ThreadPool>().Attr<int64_t>("groups").Attr<float>("eps").Attr<int64_t>("units").Attr<int64_t>( \
      "tail").Attr<int64_t>("times")

XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxodeChain, jaxode::chain_forward_call,
                              JAXODE_CHAIN(ffi::Ffi::Bind()).Attr<bool>("keep").RemainingArgs().RemainingRets());
XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxodeChainGradient, jaxode::chain_backward_call,
                              JAXODE_CHAIN(ffi::Ffi::Bind()).Attr<int64_t>("examples").RemainingArgs().RemainingRets());
