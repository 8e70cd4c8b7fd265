"""The latent ODE of irregular records: its encoder, its loss and their parts, one by one."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from torch.distributions import Normal, kl_divergence  # noqa: E402
from torch_records import alone, check_gradients, gradient, records, spoilt  # noqa: E402

from torch_ref.irregular_latent_ode import IrregularLatentODE, mean_of_observed  # noqa: E402
from torch_ref.records import Record  # noqa: E402
from torch_ref.solve import Settings  # noqa: E402

LABELS = torch.tensor([1.0, math.nan, 0.0], dtype=torch.float64)
TIGHT = Settings(rtol=1e-9, atol=1e-9)


def built(settings=TIGHT, still=False):
    """A small model; a still one has fields of zeros."""
    torch.manual_seed(0)
    sizes = {"units": 4, "gate_units": 4, "classifier_units": 5}
    model = IrregularLatentODE(3, 2, 4, std=0.5, settings=settings, **sizes).double()
    if still:
        for field in (model.encoder.field, model.field):
            for value in field.parameters():
                torch.nn.init.zeros_(value)
    return model


def noise(samples=2):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(samples, 3, 2, generator=draw, dtype=torch.float64)


def test_the_encoder_is_the_unit_from_the_last_row_to_the_first():
    encoder, record = built(still=True).encoder, next(records().each())
    mean = std = torch.zeros(4, dtype=torch.float64)
    for i in (3, 2, 1, 0):
        mean, std = encoder.unit(mean, std, record.values[i], record.mask[i])
    wanted = encoder.transform(torch.cat([mean, std]))
    found = encoder(record)
    torch.testing.assert_close(torch.cat(found), torch.cat([wanted[:2], wanted[2:].abs()]))


def test_the_encoder_takes_as_many_euler_steps_as_the_gaps_ask_for():
    encoder = built().encoder
    record = Record(torch.tensor([0, 0.01, 0.5, 1.0]).double(), *torch.ones(2, 4, 3).double())
    encoder(record)
    assert encoder.field.nfe == 1 + 24 + 23 + 1  # a step of 0.02 is the shortest; 0.5, 0.49, 0.01
    encoder(Record(*(part[:1] for part in record)))  # one row
    assert encoder.field.nfe == 49


def test_a_gap_is_taken_by_eulers_method():
    encoder, h = built().encoder, torch.tensor([0.3, -1, 2, 0.1]).double()
    by_hand = h - 0.25 * encoder.field(0, h)
    by_hand = by_hand - 0.25 * encoder.field(0, by_hand)
    torch.testing.assert_close(encoder.back(h, 1.5, 1.0, 0.16), by_hand)  # 3 points, 2 steps


def test_the_zero_state_stands_a_hundredth_behind_the_last_row():
    encoder = built(still=True).encoder
    encoder.field.net[-1].bias.data = slope = torch.tensor([1.0, 2, -1, 0]).double()
    nothing = torch.zeros(2, 3).double()
    found = encoder(Record(torch.tensor([0.2, 0.9]).double(), nothing, nothing))
    wanted = encoder.transform(torch.cat([-0.71 * slope, torch.zeros(4)]))
    torch.testing.assert_close(found[0], wanted[:2])


def test_the_loss_is_that_of_numpy():
    model, given, draws = built(still=True), records(), noise()
    with torch.no_grad():
        mean, std = model.posterior(given)
        parts = model.parts(given, draws, divergence_weight=0.7, labels=LABELS)
        z0 = mean + std * draws
        predicted, logits = model.decoder(z0).numpy(), model.classifier(z0)[..., 0].numpy()
    divergence = kl_divergence(Normal(mean, std), Normal(0.0, 1.0)).mean().item()
    likelihood, mse = np.zeros((2, 3, 3)), np.zeros((2, 3, 3))
    for s, b, j in np.ndindex(2, 3, 3):
        n = int(given.lengths[b])
        errors = [
            float(given.values[b, i, j]) - predicted[s, b, j]
            for i in range(n)
            if given.mask[b, i, j]
        ]
        log_p = [-2 * e**2 - math.log(0.5 * math.sqrt(2 * math.pi)) for e in errors]
        likelihood[s, b, j], mse[s, b, j] = np.mean(log_p), np.mean(np.square(errors))
    entropies = np.log1p(np.exp([-logits[:, 0], logits[:, 2]]))  # the second label is not known
    means = likelihood.mean((1, 2))
    wanted = -np.log(np.exp(means - 0.7 * divergence).sum()) + 100 * entropies.mean() / 2
    assert parts.likelihood.tolist() == pytest.approx(means, rel=1e-12)
    assert parts.divergence.item() == pytest.approx(divergence, rel=1e-12)
    assert parts.mse.item() == pytest.approx(mse.mean(), rel=1e-12)
    assert parts.cross_entropy.item() == pytest.approx(entropies.mean() / 2, rel=1e-12)
    assert parts.loss.item() == pytest.approx(wanted, rel=1e-12)


def test_without_a_known_label_there_is_no_cross_entropy():
    model = built()
    plain, unknown = (
        model.parts(records(), noise(), labels=labels) for labels in (None, LABELS[1].repeat(3))
    )
    assert unknown.cross_entropy.item() == 0
    assert unknown.loss.item() == plain.loss.item()


def test_a_value_that_was_never_observed_counts_as_zero():
    figures = torch.tensor([[[2.0, 3.0]], [[4.0, 5.0]]])
    mask = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert mean_of_observed(figures, mask).tolist() == [1.5]


def test_what_must_not_be_read_changes_nothing():
    model = built()
    plain, other = (model.parts(given, noise()) for given in (records(), spoilt(records())))
    for one, two in zip(plain, other, strict=True):
        assert torch.equal(one, two)
    for i in range(3):
        single = model.posterior(alone(records(), i))
        torch.testing.assert_close(single[0][0], model.posterior(records())[0][i])


def test_later_targets_are_on_the_same_trajectory():
    model, (times, z0) = built(), (records().times[2], noise()[:, 0])
    all_rows = model.decode(z0, times[0], times)
    torch.testing.assert_close(
        model.decode(z0, times[0], times[3:]), all_rows[3:], rtol=1e-7, atol=0
    )
    torch.testing.assert_close(all_rows[0], model.decoder(z0))


def test_gradients_are_those_of_differences():
    given = records()
    check_gradients(built(), lambda call: call("parts", given, noise(), labels=LABELS).loss)


def test_the_adjoint_has_the_gradients_of_the_steps():
    exact, adjoint = (
        gradient(model, model.parts(records(), noise(), labels=LABELS).loss)
        for model in (built(), built(dataclasses.replace(TIGHT, adjoint=True)))
    )
    torch.testing.assert_close(adjoint, exact, rtol=1e-6, atol=1e-6)
    assert not torch.equal(adjoint, exact)
