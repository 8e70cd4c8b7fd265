// Calls of the downsampling segment.

#include "calls.h"
#include "segment.h"

namespace jaxode {
namespace {

struct SegmentCall {
  Segment segment{};
  int64_t batch = 0;
  bool good = false;
};

// The images are the next argument.
SegmentCall segment_call(Arguments& args, int64_t width, int64_t groups, float eps) {
  SegmentCall call;
  const auto shape = args.shape_of_next();
  args.require(shape.size() == 4, "images must have four dimensions");
  if (shape.size() != 4) return call;
  const bool good = shape[0] >= 0 && shape[0] <= INT32_MAX && shape[1] >= 6 && shape[2] >= 6 && shape[3] >= 1 &&
                    shape[3] <= 1024 && shape[1] <= kMost && shape[2] <= kMost && fits(shape[1], shape[2], width);
  args.require(good, "images must have 6 or more rows and columns and 1 to 1024 channels, maps a multiple of 8 channels");
  args.require(groups >= 1 && width % (groups < 1 ? 1 : groups) == 0, "groups must divide the channels");
  if (!good) return call;
  call.segment.image = {(int)shape[1], (int)shape[2], (int)shape[3]};
  call.segment.width = (int)width, call.segment.groups = (int)groups, call.segment.eps = eps;
  call.batch = shape[0], call.good = true;
  return call;
}

// Calls body with the schemes that need the fewest products for the second and the third convolution.
template <class Body>
void with_schemes(const Segment& s, const Body& body) {
  auto pick = [](MapShape to, MapShape from, const auto& next) {
    const Tiling<TwoOfTwo> two(to.height, to.width, from.height, from.width, 2);
    const Tiling<ThreeOfTwo> three(to.height, to.width, from.height, from.width, 2);
    if (two.tiles * two.nn < three.tiles * three.nn) next(two);
    else next(three);
  };
  pick(s.middle(), s.wide(), [&](const auto& second) { pick(s.last(), s.middle(), [&](const auto& third) { body(second, third); }); });
}

template <int L, template <int> class Second, template <int> class Third>
void run_forward(ffi::ThreadPool& pool, Segment s, int64_t batch, const Tiling<Second>&, const Tiling<Third>&,
                 const float* images, float* out, float* middle) {
  const size_t channels = (size_t)s.width * s.width;
  Workspace room;
  float *second = room.take(4 * Tiling<Second>::nn * channels), *third = room.take(4 * Tiling<Third>::nn * channels);
  const Parts parts(threads_of(pool), batch);
  auto transform = [&](int which) {
    if (which == 0) transform_phases<Second, L>(s.second, 4, 4, s.width, s.width, 0, second);
    if (which == 1) transform_phases<Third, L>(s.third, 4, 4, s.width, s.width, 0, third);
  };
  parallel(pool, 2, transform);
  s.second = second, s.third = third;
  parallel(pool, parts.count, [&](int part) {
    segment_forward<Second, Third, L>(s, images, out, middle, parts.begin(part), parts.end(part));
  });
}

template <int L, template <int> class Second, template <int> class Third>
void run_backward(ffi::ThreadPool& pool, Segment s, int64_t batch, int64_t examples, const Tiling<Second>&,
                  const Tiling<Third>&, const float* images, const float* middle, const float* dout, float* dimages,
                  const SegmentSlopes& to) {
  const size_t C = s.width, square = C * C, first_size = (size_t)9 * s.image.channels * C;
  const size_t second_size = 4 * Tiling<Second>::nn * square, third_size = 4 * Tiling<Third>::nn * square;
  Workspace room;
  float *second = room.take(second_size), *third = room.take(third_size);
  const size_t all = first_size + second_size + third_size + 7 * C;
  auto slopes = [&](float* at) {
    float* vectors = at + first_size + second_size + third_size;
    return SegmentSlopes{at, vectors, vectors + C, vectors + 2 * C, at + first_size, vectors + 3 * C, vectors + 4 * C,
                         vectors + 5 * C, at + first_size + second_size, vectors + 6 * C};
  };
  auto transform = [&](int which) {
    if (which == 0) transform_phases<Second, L>(s.second, 4, 4, s.width, s.width, 0, second);
    if (which == 1) transform_phases<Third, L>(s.third, 4, 4, s.width, s.width, 0, third);
  };
  parallel(pool, 2, transform);
  s.second = second, s.third = third;
  for_examples(pool, examples, [&](int64_t example, int threads) {
    const int many = (int)(batch / examples), first = (int)example * many;
    const Parts parts(threads, many);
    Workspace workspace;
    float* sums = workspace.take(parts.count * all);
    parallel(pool, parts.count, [&](int part) {
      float* own = sums + part * all;
      std::memset(own, 0, all * sizeof(float));
      if (many == 0) return;
      segment_backward<Second, Third, L>(s, images, middle, dout, dimages, slopes(own), first + parts.begin(part),
                                         first + parts.end(part));
    });
    const SegmentSlopes from = slopes(sums);
    const size_t kernel = example * 16 * square;
    const auto finish = [&](int which) {  // the second kernel's sums, and all others
      if (which == 0) {
        sum_parts(sums, parts.count, all, first_size, first_size + second_size);
        transform_phases_transpose<Second, L>(from.second, 4, 4, s.width, s.width, 0, to.second + kernel);
      } else {
        sum_parts(sums, parts.count, all, 0, first_size);
        sum_parts(sums, parts.count, all, first_size + second_size, all);
        transform_phases_transpose<Third, L>(from.third, 4, 4, s.width, s.width, 0, to.third + kernel);
      }
    };
    if (parts.count > 1) parallel(pool, 2, finish);
    else finish(0), finish(1);
    std::memcpy(to.first + example * first_size, from.first, first_size * sizeof(float));
    const std::pair<float*, float*> vectors[] = {
        {to.first_shift, from.first_shift},   {to.first_scale, from.first_scale},   {to.first_bias, from.first_bias},
        {to.second_shift, from.second_shift}, {to.second_scale, from.second_scale}, {to.second_bias, from.second_bias},
        {to.third_shift, from.third_shift}};
    for (const auto& [target, source] : vectors) std::memcpy(target + example * C, source, C * sizeof(float));
  });
}

// Arguments: images, then for each of the three convolutions its kernel and bias, and after the first two those of the
// norm. Results: the segment's output and, if kept, that of the second convolution.
ffi::Error segment_forward_call(ffi::ThreadPool pool, int64_t width, int64_t groups, float eps, bool keep,
                                ffi::RemainingArgs in, ffi::RemainingRets out) {
  Arguments args(in, out);
  SegmentCall call = segment_call(args, width, groups, eps);
  Segment& s = call.segment;
  const ImageShape image = s.image;
  const float* images = args.in("the images", {call.batch, image.height, image.width, image.channels});
  s.first = args.in("the first kernel", {3, 3, image.channels, width});
  s.first_shift = args.in("the first convolution's bias", {width});
  s.first_scale = args.in("the first norm's scale", {width});
  s.first_bias = args.in("the first norm's bias", {width});
  s.second = args.in("the second kernel", {4, 4, width, width});
  s.second_shift = args.in("the second convolution's bias", {width});
  s.second_scale = args.in("the second norm's scale", {width});
  s.second_bias = args.in("the second norm's bias", {width});
  s.third = args.in("the third kernel", {4, 4, width, width});
  s.third_shift = args.in("the third convolution's bias", {width});
  const MapShape mid = call.good ? s.middle() : MapShape{}, end = call.good ? s.last() : MapShape{};
  float* result = args.out("the result", {call.batch, end.height, end.width, width});
  float* middle = keep ? args.out("the kept map", {call.batch, mid.height, mid.width, width}) : nullptr;
  if (auto problem = args.finish("downsampling"); problem.failure()) return problem;
  if (call.batch == 0) return ffi::Error::Success();
  return with_lanes(width, [&](auto lanes) {
    with_schemes(s, [&](const auto& second, const auto& third) {
      run_forward<decltype(lanes)::value>(pool, s, call.batch, second, third, images, result, middle);
    });
    return ffi::Error::Success();
  });
}

// Arguments: images, the kept map, the result's gradient, the first kernel and bias, the first norm's scale and bias,
// the second kernel with its channels exchanged, the second norm's scale and bias, the third kernel likewise. Results:
// the images' gradient, if asked for, and, for each example, those of the parameters in their order.
ffi::Error segment_backward_call(ffi::ThreadPool pool, int64_t width, int64_t groups, float eps, bool to_images,
                                 int64_t examples, ffi::RemainingArgs in, ffi::RemainingRets out) {
  Arguments args(in, out);
  SegmentCall call = segment_call(args, width, groups, eps);
  Segment& s = call.segment;
  const ImageShape image = s.image;
  const std::initializer_list<int64_t> picture = {call.batch, image.height, image.width, image.channels};
  const float* images = args.in("the images", picture);
  const MapShape mid = call.good ? s.middle() : MapShape{}, end = call.good ? s.last() : MapShape{};
  const float* middle = args.in("the kept map", {call.batch, mid.height, mid.width, width});
  const float* dout = args.in("the result's gradient", {call.batch, end.height, end.width, width});
  s.first = args.in("the first kernel", {3, 3, image.channels, width});
  s.first_shift = args.in("the first convolution's bias", {width});
  s.first_scale = args.in("the first norm's scale", {width});
  s.first_bias = args.in("the first norm's bias", {width});
  s.second = args.in("the second kernel with its channels exchanged", {4, 4, width, width});
  s.second_scale = args.in("the second norm's scale", {width});
  s.second_bias = args.in("the second norm's bias", {width});
  s.third = args.in("the third kernel with its channels exchanged", {4, 4, width, width});
  args.require(divides(examples, call.batch), kNoExamples);
  float* dimages = to_images ? args.out("the images' gradient", picture) : nullptr;
  SegmentSlopes to{};
  to.first = args.out("the first kernel's gradient", {examples, 3, 3, image.channels, width});
  to.first_shift = args.out("the first bias's gradient", {examples, width});
  to.first_scale = args.out("the first scale's gradient", {examples, width});
  to.first_bias = args.out("the first norm's bias's gradient", {examples, width});
  to.second = args.out("the second kernel's gradient", {examples, 4, 4, width, width});
  to.second_shift = args.out("the second bias's gradient", {examples, width});
  to.second_scale = args.out("the second scale's gradient", {examples, width});
  to.second_bias = args.out("the second norm's bias's gradient", {examples, width});
  to.third = args.out("the third kernel's gradient", {examples, 4, 4, width, width});
  to.third_shift = args.out("the third bias's gradient", {examples, width});
  if (auto problem = args.finish("downsampling's gradient"); problem.failure()) return problem;
  return with_lanes(width, [&](auto lanes) {
    with_schemes(s, [&](const auto& second, const auto& third) {
      run_backward<decltype(lanes)::value>(pool, s, call.batch, examples, second, third, images, middle, dout, dimages, to);
    });
    return ffi::Error::Success();
  });
}

}  // namespace
}  // namespace jaxode

namespace ffi = ::xla::ffi;

#define JAXODE_SEGMENT \
  ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Attr<int64_t>("width").Attr<int64_t>("groups").Attr<float>("eps")

XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxodeSegment, jaxode::segment_forward_call,
                              JAXODE_SEGMENT.Attr<bool>("keep").RemainingArgs().RemainingRets());
XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxodeSegmentGradient, jaxode::segment_backward_call,
                              JAXODE_SEGMENT.Attr<bool>("to_images").Attr<int64_t>("examples").RemainingArgs().RemainingRets());
