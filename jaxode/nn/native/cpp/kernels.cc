// All calls in one translation unit: they share the instances of their templates, which take most of the time to compile.

#include "chain_calls.cc"
#include "convolution_calls.cc"
#include "memory_calls.cc"
#include "segment_calls.cc"
