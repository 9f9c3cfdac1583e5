"""Likelihoods against scipy, and quantiles that cannot cross."""

import numpy as np
import pytest
import scipy.stats
import torch

from lstm_forecasters.backend.likelihoods import (
    LIKELIHOODS,
    Likelihood,
    NormalLikelihood,
    QuantileLikelihood,
    StudentTLikelihood,
    make_likelihood,
)
from lstm_forecasters.errors import ParameterError, ParameterTypeError

NAMES = list(LIKELIHOODS)
LEVELS = torch.tensor([0.001, 0.05, 0.3, 0.5, 0.8, 0.999], dtype=torch.float64)


def drawn(likelihood, dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    raw = torch.randn(3, 4, 2, likelihood.n_parameters, generator=generator)
    path = torch.randn(3, 4, 2, generator=generator)
    return raw.to(dtype), path.to(dtype)


def family(likelihood, parameters):
    parts = [part.numpy() for part in parameters.unbind(-1)]
    if isinstance(likelihood, NormalLikelihood):
        return scipy.stats.norm(*parts)
    return scipy.stats.t(parts[2], *parts[:2])


@pytest.mark.parametrize("name", NAMES)
def test_each_keeps_the_protocol(name):
    likelihood = make_likelihood(name)
    assert isinstance(likelihood, Likelihood)
    assert likelihood.name == name


@pytest.mark.parametrize("name", ["normal", "student_t"])
def test_distributions_equal_scipys(name):
    likelihood = make_likelihood(name)
    parameters = likelihood.parameters(*drawn(likelihood))
    known = family(likelihood, parameters)
    target = torch.linspace(-3, 3, 24, dtype=torch.float64).reshape(3, 4, 2)
    np.testing.assert_allclose(
        likelihood.loss(parameters, target), -known.logpdf(target.numpy()), rtol=1e-10
    )
    quantiles = likelihood.quantiles(parameters, LEVELS)
    for number, level in enumerate(LEVELS.tolist()):
        expected = known.ppf(level)
        np.testing.assert_allclose(quantiles[..., number], expected, rtol=1e-6)
    np.testing.assert_allclose(likelihood.point(parameters), known.median())


def test_quantiles_are_the_median_and_steps_outwards():
    likelihood = QuantileLikelihood((0.1, 0.3, 0.5, 0.9))
    raw, path = drawn(likelihood)
    steps = np.log1p(np.exp(raw.numpy()))
    median = (raw[..., 0] + path).numpy()
    expected = [
        median - steps[..., 1] - steps[..., 2],
        median - steps[..., 1],
        median,
        median + steps[..., 3],
    ]
    parameters = likelihood.parameters(raw, path)
    np.testing.assert_allclose(parameters, np.stack(expected, -1), atol=1e-6)
    np.testing.assert_allclose(likelihood.point(parameters), median, atol=1e-6)


def test_pinball_loss_by_hand():
    likelihood = QuantileLikelihood((0.1, 0.5))
    parameters = torch.tensor([[1.0, 3.0]])
    over, under = 0.9 * 1.0 + 0.5 * 3.0, 0.1 * 4.0 + 0.5 * 2.0
    assert likelihood.loss(parameters, torch.tensor([0.0])) == pytest.approx(over)
    assert likelihood.loss(parameters, torch.tensor([5.0])) == pytest.approx(under)


def test_quantiles_minimise_the_loss_at_those_of_the_data():
    sample = torch.from_numpy(
        scipy.stats.norm(2, 3).ppf((np.arange(2000) + 0.5) / 2000)
    )
    likelihood = QuantileLikelihood()
    best = torch.quantile(sample, torch.tensor(likelihood.levels, dtype=torch.float64))
    loss = likelihood.loss(best[None], sample).mean()
    for number in range(len(likelihood.levels)):
        for step in (-0.2, 0.2):
            moved = best.clone()
            moved[number] += step
            assert likelihood.loss(moved[None], sample).mean() > loss


def test_quantiles_between_and_beyond_follow_the_normal():
    likelihood = QuantileLikelihood()
    known = scipy.stats.norm(-4, 2.5)
    parameters = torch.from_numpy(known.ppf(likelihood.levels))[None]
    found = likelihood.quantiles(parameters, LEVELS)[0]
    np.testing.assert_allclose(found, known.ppf(LEVELS.numpy()), rtol=1e-6)


def test_quantiles_hit_the_trained_levels():
    likelihood = QuantileLikelihood()
    parameters = likelihood.parameters(*drawn(likelihood))
    levels = torch.tensor(likelihood.levels, dtype=torch.float64)
    torch.testing.assert_close(likelihood.quantiles(parameters, levels), parameters)


@pytest.mark.parametrize("name", NAMES[1:])
def test_quantiles_never_cross(name):
    likelihood = make_likelihood(name)
    raw, path = drawn(likelihood, torch.float32)
    parameters = likelihood.parameters(30 * raw, path)
    found = likelihood.quantiles(parameters, torch.linspace(0.001, 0.999, 200))
    assert (found.diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("name", NAMES[1:])
def test_restored_parameters_describe_the_restored_forecast(name):
    likelihood = make_likelihood(name)
    parameters = likelihood.parameters(*drawn(likelihood))
    shape = parameters.shape[:3]
    center = torch.full(shape, -40.0, dtype=torch.float64)
    scale = torch.full(shape, 8.0, dtype=torch.float64)
    restored = likelihood.restore(parameters, center, scale)
    expected = likelihood.quantiles(parameters, LEVELS) * 8.0 - 40.0
    torch.testing.assert_close(likelihood.quantiles(restored, LEVELS), expected)
    torch.testing.assert_close(
        likelihood.point(restored), likelihood.point(parameters) * 8.0 - 40.0
    )


@pytest.mark.parametrize("name", NAMES)
def test_wider_forecasts_keep_their_medians(name):
    likelihood = make_likelihood(name)
    parameters = likelihood.parameters(*drawn(likelihood))
    wider = likelihood.widen(parameters, torch.tensor(1.7))
    median = likelihood.point(parameters)
    assert torch.equal(likelihood.point(wider), median)
    if name is None:
        assert torch.equal(wider, parameters)
        return
    before, after = (
        likelihood.quantiles(one, LEVELS) - median[..., None]
        for one in (parameters, wider)
    )
    torch.testing.assert_close(after, 1.7 * before)


def test_levels_may_differ_from_value_to_value():
    for likelihood in (QuantileLikelihood(), NormalLikelihood(), StudentTLikelihood()):
        parameters = likelihood.parameters(*drawn(likelihood))
        each = torch.rand(
            (*parameters.shape[:3], 1), generator=torch.Generator().manual_seed(0)
        ).double()
        found = likelihood.quantiles(parameters, each)
        for where in np.ndindex(*parameters.shape[:3]):
            expected = likelihood.quantiles(parameters[where], each[where])
            torch.testing.assert_close(found[where], expected)


def test_points_have_no_quantiles():
    with pytest.raises(ParameterError, match='likelihood="quantile"'):
        make_likelihood(None).quantiles(torch.zeros(1, 1), LEVELS)


@pytest.mark.parametrize(
    ("typed", "meant"), [("studentt", "student_t"), ("quantiles", "quantile")]
)
def test_a_mistyped_name_is_answered_with_the_nearest(typed, meant):
    with pytest.raises(ParameterError, match=f"Did you mean '{meant}'"):
        make_likelihood(typed)


def test_a_name_of_another_type_is_refused():
    with pytest.raises(ParameterTypeError, match="got 3 of type int"):
        make_likelihood(3)
