"""The recurrent references against torch.nn.GRU, NumPy and differences."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from torch_records import alone, check_gradients, gradient, records, spoilt  # noqa: E402

from torch_ref.ode_rnn import GRUD, ODERNN, GRUUnit, MaskedODERNN, RNNDelta  # noqa: E402
from torch_ref.records import Record, classification_loss  # noqa: E402
from torch_ref.solve import Settings  # noqa: E402

MEANS = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
LABELS = torch.tensor([1, 0, 1])
DOPRI5 = Settings(rtol=1e-9, atol=1e-9)
KINDS = ["rnn-delta", "gru-d", "ode-rnn", "masked"]


def built(kind, **choices):
    torch.manual_seed(0)
    if kind == "rnn-delta":
        return RNNDelta(3, 4, 2).double()
    if kind == "gru-d":
        return GRUD(3, 4, 2, MEANS).double()
    if kind == "ode-rnn":
        return ODERNN(3, 4, 2, units=5, **choices).double()
    return MaskedODERNN(3, 4, 2, units=5, gate_units=4, **choices).double()


def still(model):
    """The model with a field of zeros."""
    for value in model.field.parameters():
        torch.nn.init.zeros_(value)
    return model


def gru(cell, rows):
    """States of torch.nn.GRU with a cell's weights after each of the rows [N, I]."""
    net = torch.nn.GRU(cell.input_size, cell.hidden_size).double()
    net.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    return net(rows)[0]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_layers(net, x):
    for layer in net:
        if isinstance(layer, torch.nn.Linear):
            x = layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()
        else:
            x = {"Tanh": np.tanh, "Sigmoid": sigmoid}[type(layer).__name__](x)
    return x


def test_the_masked_unit_is_that_of_numpy():
    torch.manual_seed(0)
    unit, draw = GRUUnit(4, 3, 5).double(), np.random.default_rng(0)
    unit.new_state_net[-1].bias.data[4:] -= 0.2
    mean, std, values = draw.normal(size=4), np.abs(draw.normal(size=4)), draw.normal(size=3)
    row = [values * [1, 0, 1], [1, 0, 1]]
    seen = np.concatenate([mean, std, *row])
    u, r = numpy_layers(unit.update_gate, seen), numpy_layers(unit.reset_gate, seen)
    new = numpy_layers(unit.new_state_net, np.concatenate([mean * r, std * r, *row]))
    wanted = (1 - u) * new[:4] + u * mean, (1 - u) * np.abs(new[4:]) + u * std
    assert (new[4:] < 0).any()  # of which the absolute value is taken
    found = unit(*(torch.tensor(np.array(part)).double() for part in (mean, std, *row)))
    for one, two in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.detach(), two, rtol=1e-12)


def test_the_masked_unit_keeps_what_was_not_observed():
    torch.manual_seed(0)
    unit, given = GRUUnit(4, 3, 5), torch.rand(2, 2, 4)
    mask = torch.tensor([[0.0, 0, 0], [0, 1, 0]])
    found = torch.stack(unit(*given, torch.randn(2, 3) * mask, mask))
    assert torch.equal(found[:, 0], given[:, 0])
    assert (found[:, 1] != given[:, 1]).all()


def test_an_ode_rnn_with_a_field_of_zeros_is_a_gru():
    model = still(built("ode-rnn"))
    record = next(records().each())
    wanted = gru(model.cell, torch.cat([record.values, record.mask], 1))
    torch.testing.assert_close(model.states(record), wanted)


def test_between_rows_the_state_is_that_of_the_ode():
    """A field of constant slope c, exact in every method, and rows that observe nothing."""
    for kind in ("ode-rnn", "masked"):
        model, record = still(built(kind)), list(records().each())[2]
        before = model.states(record)
        slope = torch.tensor([1.0, 2, -1, 0]).double()
        model.field.net[-1].bias.data = slope
        moved = model.states(record)
        assert torch.equal(before[0], moved[0])
        gap = record.times[2] - record.times[1]
        torch.testing.assert_close(moved[2], moved[1] + gap * slope)  # the third row
        torch.testing.assert_close(before[2], before[1])


def test_a_gap_is_one_euler_step_or_a_solve():
    euler, exact = built("ode-rnn"), built("ode-rnn", settings=DOPRI5)
    h, times = torch.randn(1, 4).double(), torch.tensor([0.2, 0.7]).double()
    torch.testing.assert_close(euler.evolve(h, times), h + 0.5 * euler.field(0, h))
    fine = built("ode-rnn", settings=Settings(method="rk4", step_size=0.01))
    torch.testing.assert_close(exact.evolve(h, times), fine.evolve(h, times), rtol=1e-6, atol=0)
    assert (euler.solver.counts.nfe, fine.solver.counts.nfe) == (1, 4 * 50)
    assert exact.solver.counts.nfe == exact.field.nfe > 6


def test_rnn_delta_is_a_gru_of_the_observed_rows_and_their_gaps():
    model, record = built("rnn-delta"), list(records().each())[2]
    seen = [0, 1, 3, 4]  # the third row has no observation
    assert record.mask.sum(1).bool().tolist() == [True, True, False, True, True]
    times = record.times[seen]
    gaps = torch.cat([times[:1] * 0, times[1:] - times[:-1]])[:, None]
    wanted = gru(model.cell, torch.cat([record.values[seen], record.mask[seen], gaps], 1))
    found = model.states(record)
    torch.testing.assert_close(found[seen], wanted)
    assert torch.equal(found[2], found[1])


def test_gru_d_is_that_of_numpy():
    """Equations 2 and 10 to 17 of Che et al., the time since each observation by its definition."""
    model, record = built("gru-d"), list(records().each())[2]
    draw = torch.Generator().manual_seed(3)
    for value in (model.input_decay_weight, model.input_decay_bias, model.state_decay.weight):
        value.data = torch.rand(value.shape, generator=draw).double() - 0.2
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    times, values, mask = (part.numpy() for part in record)
    means = MEANS.numpy()

    def linear(name, x):
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    h, wanted = np.zeros(4), []
    for i in range(len(times)):
        since, x = np.zeros(3), np.zeros(3)
        for j in range(3):
            earlier = [k for k in range(i) if mask[k, j]]
            since[j] = times[i] - times[earlier[-1] if earlier else 0]
            last = values[earlier[-1], j] if earlier else means[j]
            weight, bias = weights["input_decay_weight"][j], weights["input_decay_bias"][j]
            gamma = math.exp(-max(0, weight * since[j] + bias))
            x[j] = values[i, j] if mask[i, j] else gamma * last + (1 - gamma) * means[j]
        h = np.exp(-np.maximum(0, linear("state_decay", since))) * h
        z = sigmoid(linear("update", np.concatenate([x, h, mask[i]])))
        r = sigmoid(linear("reset", np.concatenate([x, h, mask[i]])))
        proposal = np.tanh(linear("candidate", np.concatenate([x, r * h, mask[i]])))
        h = (1 - z) * h + z * proposal
        wanted.append(h)
    np.testing.assert_allclose(model.states(record).detach(), wanted, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_what_was_not_observed_change_nothing(kind):
    model, given = built(kind), records()
    found = model(given, every=True)
    assert torch.equal(model(spoilt(given), every=True), found)
    last = model(given)
    for i, n in enumerate(given.lengths.tolist()):
        torch.testing.assert_close(model(alone(given, i), every=True)[0], found[i, :n])
        torch.testing.assert_close(last[i], found[i, n - 1])
        assert (found[i, n - 1 :] == found[i, n - 1]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_differences(kind):
    given = records()
    check_gradients(
        built(kind),
        lambda call: torch.nn.functional.cross_entropy(call("forward", given), LABELS),
    )


@pytest.mark.parametrize("kind", ["ode-rnn", "masked"])
def test_the_adjoint_has_the_gradients_of_the_steps(kind):
    exact, adjoint = (
        gradient(model, classification_loss(model, records(), LABELS))
        for model in (
            built(kind, settings=DOPRI5),
            built(kind, settings=dataclasses.replace(DOPRI5, adjoint=True)),
        )
    )
    torch.testing.assert_close(adjoint, exact, rtol=1e-6, atol=1e-8)
    assert not torch.equal(adjoint, exact)


def test_the_loss_is_the_mean_of_minus_log_p():
    model, given = built("rnn-delta"), records()
    p = torch.softmax(model(given), 1).tolist()
    wanted = -sum(math.log(p[i][label]) for i, label in enumerate(LABELS.tolist())) / 3
    assert classification_loss(model, given, LABELS).item() == pytest.approx(wanted, rel=1e-12)


def test_a_record_is_without_its_padding():
    record = list(spoilt(records()).each())[1]
    assert isinstance(record, Record)
    assert [len(part) for part in record] == [2, 2, 2]
    assert (record.values[record.mask == 0] == 0).all()
