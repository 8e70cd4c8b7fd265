"""The neural CDE against torchcde's own solve, SciPy and differences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.integrate import solve_ivp

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")
torchcde = pytest.importorskip("torchcde")

from torch_records import alone, check_gradients, gradient, records, spoilt  # noqa: E402

from torch_ref.cde import NeuralCDE, control, path  # noqa: E402
from torch_ref.records import Records, classification_loss  # noqa: E402
from torch_ref.solve import Settings  # noqa: E402

RK4, FINE = Settings(method="rk4"), Settings(method="rk4", step_size=0.01)
LABELS = torch.tensor([1, 0, 1])


def built(settings=RK4, **choices):
    torch.manual_seed(0)
    return NeuralCDE(3, 4, 2, width=6, settings=settings, **choices).double()


def waves(lengths=(4, 3)):
    """Records of smooth values at evenly spaced times, observed in full."""
    times = torch.linspace(0, 1, max(lengths)).double()
    values = torch.sin(times[:, None] * torch.tensor([3.0, 4, 5]) + torch.arange(3))
    both = times.expand(len(lengths), -1), values.expand(len(lengths), -1, -1)
    return Records(*both, torch.ones_like(both[1]), torch.tensor(lengths))


def line(rows=5):
    """One record on a straight line in time and values, observed in full."""
    times = torch.tensor([0.0, 0.3, 0.5, 1.1, 1.5]).double()[:rows]
    values = torch.tensor([1.0, -2, 0.5]).double() * times[:, None] + 0.2
    return Records(times[None], values[None], torch.ones(1, rows, 3), torch.tensor([rows]))


def test_the_control_passes_through_the_observations_with_slopes_from_behind():
    record = next(records(lengths=(5,)).each())
    full = record._replace(mask=torch.ones_like(record.mask))
    x, times = control(path(full), full.times), full.times.numpy()
    points = np.column_stack([times, full.values.numpy()])
    slopes = np.diff(points, axis=0) / np.diff(times)[:, None]
    for i, t in enumerate(full.times):
        np.testing.assert_allclose(x.evaluate(t), points[i], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(x.derivative(t), slopes[max(i - 1, 0)], rtol=1e-9, atol=1e-12)


def test_the_path_is_unknown_where_nothing_was_observed():
    record = list(records().each())[2]
    found = path(record)
    assert torch.equal(found[:, 0], record.times)
    assert torch.equal(found[:, 1:].isnan(), record.mask == 0)
    assert torch.equal(found[:, 1:].nan_to_num(), record.values)


def test_a_gap_is_bridged_by_a_line():
    times = torch.tensor([0.0, 1, 3]).double()
    values = torch.tensor([[1.0, torch.nan], [torch.nan, 2], [7, torch.nan]]).double()
    x = control(values, times)
    torch.testing.assert_close(x.evaluate(times[1]), torch.tensor([3.0, 2]).double())
    torch.testing.assert_close(x.evaluate(times[0])[1], torch.tensor(2.0).double())
    torch.testing.assert_close(x.evaluate(times[2])[1], torch.tensor(2.0).double())


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("settings", [RK4, Settings(method="rk4", step_size=0.1), Settings()])
def test_states_and_gradients_have_the_bits_of_cdeint(settings, adjoint):
    settings = dataclasses.replace(settings, adjoint=adjoint)
    record, model, other = next(waves().each()), built(settings), built()
    x = control(path(record), record.times)
    theirs = torchcde.cdeint(
        x,
        other.field,
        other.initial(x.evaluate(record.times[0])),
        record.times,
        adjoint=adjoint,
        method=settings.method,
        rtol=settings.rtol,
        atol=settings.atol,
        options={} if settings.step_size is None else {"step_size": settings.step_size},
    )
    other.readout(theirs[-1]).sum().backward()
    found = model(alone(waves(), 0), every=True)
    found[0, -1].sum().backward()
    assert torch.equal(model.states(record), theirs)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)


def test_on_a_line_a_cde_is_an_ode():
    model, given = built(FINE), line()
    weights = {name: value.numpy() for name, value in model.state_dict().items()}

    def linear(name, x):
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    def slope(_, z):
        for name in ("field.linear_in", "field.linears.0", "field.linears.1"):
            z = np.maximum(linear(name, z), 0)
        matrix = np.tanh(linear("field.linear_out", z)).reshape(4, 4)
        return matrix @ [1, 1, -2, 0.5]

    z0 = linear("initial", np.array([0, 0.2, 0.2, 0.2]))
    times = given.times[0].numpy()
    exact = solve_ivp(slope, (0, 1.5), z0, "DOP853", times, rtol=1e-10, atol=1e-10).y.T
    found = model.trajectories(given)[0].detach()
    np.testing.assert_allclose(found, exact, rtol=1e-5)
    last = model(given)[0].detach()
    np.testing.assert_allclose(last, linear("readout", exact[-1]), rtol=1e-5)


def test_rk4_takes_one_step_from_row_to_row():
    model = built()
    found = model(line())
    assert (model.solver.counts.steps, model.solver.counts.nfe, model.field.nfe) == (4, 16, 16)
    assert torch.equal(found[0], model(line(), every=True)[0, -1])


@pytest.mark.parametrize("shared", [False, True])
def test_padding_and_what_was_not_observed_change_nothing(shared):
    model, given = built(shared_knots=shared), records()
    found = model(given, every=True)
    assert torch.equal(model(spoilt(given), every=True), found)
    last = model(given)
    for i, n in enumerate(given.lengths.tolist()):
        torch.testing.assert_close(model(alone(given, i), every=True)[0], found[i, :n])
        torch.testing.assert_close(last[i], found[i, n - 1])
        assert (found[i, n - 1 :] == found[i, n - 1]).all()


def test_evenly_spaced_knots_may_be_shared():
    """Of a control, only the path matters and not how fast it is passed."""
    given = waves((5, 5))
    own, shared = (built(shared_knots=choice)(given) for choice in (False, True))
    torch.testing.assert_close(own, shared, rtol=1e-12, atol=0)


def test_a_record_of_one_row_is_its_initial_state():
    model, given = built(), records(lengths=(1, 3))
    wanted = model.initial(torch.cat([given.times[0, :1], given.values[0, 0]]))
    for every in (False, True):
        found = model(given, every=every)[0]
        torch.testing.assert_close(found[-1] if every else found, model.readout(wanted))


@pytest.mark.parametrize("shared", [False, True])
def test_gradients_are_those_of_differences(shared):
    given = records()
    check_gradients(
        built(shared_knots=shared),
        lambda call: torch.nn.functional.cross_entropy(call("forward", given), LABELS),
    )


def test_the_adjoint_solve_of_each_record_has_its_own_control():
    given, found = waves(), []
    other = given._replace(values=given.values * torch.tensor([1.0, -2])[:, None, None])
    for adjoint in (False, True):
        model = built(dataclasses.replace(FINE, step_size=0.04, adjoint=adjoint))
        found.append(gradient(model, classification_loss(model, other, LABELS[:2])))
        backward = model.solver.backward_nfe(model.field)
        assert model.solver.counts.nfe + backward == model.field.nfe
        assert (backward > 0) == adjoint
    exact, adjoint = found
    assert torch.linalg.norm(adjoint - exact) <= 1e-3 * torch.linalg.norm(exact)
    assert not torch.equal(adjoint, exact)
