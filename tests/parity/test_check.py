"""`jaxode.parity.check`: what it leaves alone, how weights are matched, and what it refuses."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from flax import nnx

from jaxode import ConfigError, parity

torch = pytest.importorskip("torch", reason="jaxode.parity compares with PyTorch")

R = nnx.Rngs(0)
X = np.random.default_rng(0).standard_normal((3, 4))


class Named(nnx.Module):
    """Two layers of one shape, called in the order of their arguments."""

    def __init__(self, first, second):
        self.first, self.second = first, second
        self.a, self.b = nnx.Linear(4, 4, rngs=R), nnx.Linear(4, 4, rngs=R)

    def __call__(self, x):
        return getattr(self, self.second)(nnx.tanh(getattr(self, self.first)(x)))


def two_layers():
    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh(), torch.nn.Linear(4, 4))


def test_both_modules_stay_as_they_are():
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    theirs[0].weight.grad = torch.ones(4, 4)
    ours = nnx.Sequential(nnx.Linear(4, 4, rngs=R), nnx.BatchNorm(4, momentum=0.9, rngs=R))
    tensors = [*theirs.parameters(), *theirs.buffers()]
    before = [tensor.clone() for tensor in tensors]
    own = jax.tree.leaves(nnx.state(ours))
    call = nnx.Linear.__call__
    assert parity.check(theirs, ours, X, train=True).passed
    after = [*theirs.parameters(), *theirs.buffers()]
    assert all(a is b for a, b in zip(after, tensors, strict=True))
    for tensor, value in zip(after, before, strict=True):
        assert torch.equal(tensor, value)
        assert tensor.dtype == value.dtype
    assert torch.equal(theirs[0].weight.grad, torch.ones(4, 4))
    assert theirs.training
    assert all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(nnx.state(ours)), own, strict=True)
    )
    assert "_parity_label" not in vars(ours)
    assert nnx.Linear.__call__ is call
    assert not jax.config.jax_enable_x64


def test_a_module_keeps_the_weights_if_asked():
    theirs, ours = torch.nn.Linear(4, 2), nnx.Linear(4, 2, rngs=R)
    assert not parity.check(theirs, ours, X, carry=False).passed
    assert parity.check(theirs, ours, X, keep=True).passed
    assert ours.kernel.get_value().dtype == np.float32
    np.testing.assert_array_equal(ours.kernel.get_value(), theirs.weight.detach().numpy().T)
    assert parity.check(theirs, ours, X, carry=False).passed


def test_layers_of_other_names_are_matched_in_the_order_of_their_calls():
    for names in (("a", "b"), ("b", "a")):
        report = parity.check(two_layers(), Named(*names), X)
        assert report.passed, str(report)
        found = {link[0]: link[1] for link in report.links}
        assert found["0.weight"] == f"{names[0]}.kernel"
        assert {link[3] for link in report.links} == {"order"}


def test_a_mapping_is_obeyed():
    theirs = two_layers()
    swapped = parity.check(theirs, Named("a", "b"), X, mapping={"0": "b", "2": "a"})
    assert not swapped.passed
    mapping = {"0.weight": ("a.kernel", np.transpose), "0.bias": "a.bias", "2": "b"}
    report = parity.check(theirs, Named("a", "b"), X, mapping=mapping)
    assert report.passed, str(report)
    assert {link[3] for link in report.links} == {"mapping"}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"0.wieght": "a.kernel"}, "did you mean 0.weight"),
        ({"0.weight": "a.kernal"}, "did you mean a.kernel"),
        ({"0.weight": "a.bias"}, "which no rearrangement does"),
    ],
)
def test_a_wrong_mapping_is_refused(mapping, message):
    with pytest.raises(ConfigError, match=message):
        parity.check(two_layers(), Named("a", "b"), X, mapping=mapping)


def test_what_has_no_counterpart_is_named_on_both_sides():
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    ours = nnx.Sequential(nnx.Linear(4, 3, rngs=R), nnx.Linear(3, 2, use_bias=False, rngs=R))
    report = parity.check(theirs, ours, X)
    assert report.only_torch == {"1.bias": (2,)}
    assert report.only_nnx == {}
    assert "only in PyTorch: 1.bias [2]" in str(report)
    other = nnx.Sequential(nnx.Linear(4, 3, rngs=R), lambda x: x[:, :1], nnx.Linear(1, 2, rngs=R))
    report = parity.check(theirs, other, X)
    assert set(report.only_torch) == {"1.weight", "1.bias"}
    assert report.only_nnx == {"layers.2.bias": (2,), "layers.2.kernel": (1, 2)}


def test_a_missing_gradient_is_found_though_the_outputs_agree():
    ours = nnx.Sequential(
        nnx.Linear(4, 4, rngs=R), lambda x: jax.lax.stop_gradient(nnx.tanh(x)),
        nnx.Linear(4, 4, rngs=R),
    )  # fmt: skip
    report = parity.check(two_layers(), ours, X)
    assert not report.passed
    assert report.first_difference is None
    assert report.first_gradient_difference.theirs == "0.bias"
    assert "first gradient that differs" in str(report)


def test_every_output_counts():
    theirs, ours = torch.nn.Linear(4, 2), nnx.Linear(4, 2, rngs=R)
    report = parity.check(
        theirs,
        ours,
        X,
        torch_call=lambda module, x: {"b": module(x), "a": [x**2]},
        nnx_call=lambda module, x: {"a": [x**2], "b": 1.0001 * module(x)},
    )
    outputs = [each.passed for each in report.comparisons if each.kind == "output"]
    assert outputs == [True, False]
    report = parity.check(theirs, ours, X, nnx_call=lambda module, x: (module(x), x))
    assert "1 arrays of floating-point numbers against 2" in str(report)
    assert not report.passed


def test_inputs_of_another_form():
    theirs, ours = torch.nn.Linear(4, 2), nnx.Linear(4, 2, rngs=R)
    report = parity.check(
        theirs, ours, X, nnx_inputs=X.reshape(3, 2, 2),
        nnx_call=lambda module, x: module(x.reshape(3, 4)), gradients=False,
    )  # fmt: skip
    assert report.passed, str(report)
    assert report.layout == "given"


def test_modules_in_transformations_are_compared():
    class Mapped(nnx.Module):
        def __init__(self):
            self.inner = nnx.Linear(4, 2, rngs=R)

        @nnx.jit
        def __call__(self, x):
            return jax.vmap(self.inner)(x)

    class Looks(nnx.Module):
        def __init__(self):
            self.inner = nnx.Linear(4, 2, rngs=R)

        def __call__(self, x):
            return self.inner(x) if x.sum() < 1e9 else x

    for cls in (Mapped, Looks):
        theirs = torch.nn.Linear(4, 2)
        report = parity.check(theirs, cls(), X)
        assert report.passed, str(report)
        assert report.largest("gradient") is not None


def test_float32_has_its_own_bounds():
    report = parity.check(two_layers(), Named("a", "b"), X, dtype="float32")
    assert report.passed
    assert 0 < report.largest("output") < 1e-6
    assert {each.limit for each in report.comparisons if each.kind == "output"} == {1e-4}


def test_the_report_as_numbers_and_as_a_picture(tmp_path):
    report = parity.check(two_layers(), Named("a", "b"), X, mapping={"0": "b"})
    found = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert found["passed"] is False
    assert found["first_difference"]["theirs"] == report.first_difference.theirs
    assert len(found["comparisons"]) == len(report.comparisons)
    report.save_picture(tmp_path / "errors.png")
    assert (tmp_path / "errors.png").read_bytes().startswith(b"\x89PNG")


def test_wrong_arguments_are_refused():
    theirs, ours = torch.nn.Linear(4, 2), nnx.Linear(4, 2, rngs=R)
    for arguments, options, message in (
        ((ours, ours, X), {}, "torch_module must be a torch.nn.Module, got 'Linear'"),
        ((theirs, theirs, X), {}, "nnx_module must be a flax.nnx.Module"),
        ((theirs, ours, "x"), {}, "inputs must be an array"),
        ((theirs, ours, X), {"dtype": "float16"}, "dtype must be one of float64, float32"),
        ((theirs, ours, X), {"layout": "nhwc"}, "layout must be one of auto"),
        ((theirs, ours, X), {"field": "f"}, "field must be"),
        ((theirs, ours, X), {"flattened": {"f": (1, 2, 2)}}, "flattened must be"),
        ((theirs, ours, X[:, :3]), {}, "the torch module raised RuntimeError"),
    ):
        with pytest.raises(ConfigError, match=message):
            parity.check(*arguments, **options)


def test_a_tensor_that_is_no_buffer_is_explained():
    class Unregistered(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.matrix = torch.eye(4)

        def forward(self, x):
            return x @ self.matrix

    with pytest.raises(ConfigError, match="neither parameter nor buffer keeps its type"):
        parity.check(Unregistered(), nnx.Linear(4, 4, rngs=R), X)
