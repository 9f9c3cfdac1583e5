"""Likelihoods: right names, right units, right quantiles, and known answers."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from darts import TimeSeries
from darts.utils.data import SequentialTorchTrainingDataset
from darts.utils.likelihood_models import torch as likelihoods
from darts.utils.likelihood_models.torch import (
    DirichletLikelihood,
    GaussianLikelihood,
    PoissonLikelihood,
    QuantileRegression,
    TorchLikelihood,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special
from torch import distributions as torch_distributions

from lstm_forecasters.darts import StudentTLikelihood, VanillaLSTMModel
from lstm_forecasters.errors import (
    DataError,
    ParameterError,
    ParameterTypeError,
    TrainingError,
    TrainingWarning,
)

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Case:
    """A likelihood, data that it fits, and how its parameters are to be read."""

    name: str
    parameters: tuple
    distribution: object  # from the parameters, as darts' documentation has them
    draw: object  # a generator and a shape to data within the support
    inside: object
    outside: tuple = ()
    priors: dict = field(default_factory=dict)

    def __call__(self, **settings):
        """Return the likelihood."""
        return getattr(likelihoods, f"{self.name}Likelihood")(**settings)


def _anything(x):
    return np.isfinite(x)


def _counts(x):
    return (x >= 0) & (x == np.round(x))


def _positive(x):
    return x > 0


def _inner(x):
    return (x > 0) & (x < 1)


D = torch_distributions
CASES = [
    Case(
        "Gaussian",
        ("mu", "sigma"),
        D.Normal,
        lambda rng, shape: rng.normal(50, 5, shape),
        _anything,
        priors={"prior_mu": 70.0, "prior_sigma": 1.0},
    ),
    Case(
        "Poisson",
        ("lambda",),
        D.Poisson,
        lambda rng, shape: rng.poisson(20, shape),
        _counts,
        (-1.0, 0.5),
        {"prior_lambda": 35.0},
    ),
    Case(
        "NegativeBinomial",
        ("r", "p"),
        lambda r, p: D.NegativeBinomial(total_count=r, probs=p),
        lambda rng, shape: rng.negative_binomial(5, 0.2, shape),
        _counts,
        (-1.0, 0.5),
    ),
    Case(
        "Bernoulli",
        ("p",),
        D.Bernoulli,
        lambda rng, shape: rng.binomial(1, 0.3, shape),
        lambda x: (x == 0) | (x == 1),
        (2.0, 0.5),
        {"prior_p": 0.9},
    ),
    Case(
        "Beta",
        ("alpha", "beta"),
        D.Beta,
        lambda rng, shape: rng.beta(2, 4, shape),
        _inner,
        (-0.1, 1.5),
        {"prior_alpha": 8.0, "prior_beta": 2.0},
    ),
    Case(
        "Cauchy",
        ("xzero", "gamma"),
        D.Cauchy,
        lambda rng, shape: 30 + rng.standard_cauchy(shape),
        _anything,
        priors={"prior_xzero": 50.0, "prior_gamma": 0.2},
    ),
    Case(
        "ContinuousBernoulli",
        ("lambda",),
        D.ContinuousBernoulli,
        lambda rng, shape: rng.uniform(0.05, 0.95, shape) ** 2,
        _inner,
        (-0.1, 1.5),
        {"prior_lambda": 0.9},
    ),
    Case(
        "Exponential",
        ("lambda",),
        D.Exponential,
        lambda rng, shape: rng.exponential(4.0, shape),
        _positive,
        (-0.5,),
        {"prior_lambda": 2.0},
    ),
    Case(
        "Gamma",
        ("alpha", "beta"),
        D.Gamma,
        lambda rng, shape: rng.gamma(4.0, 0.5, shape),
        _positive,
        (-0.5,),
        {"prior_alpha": 20.0, "prior_beta": 4.0},
    ),
    Case(
        "Geometric",
        ("p",),
        D.Geometric,
        lambda rng, shape: rng.geometric(0.3, shape) - 1,
        _counts,
        (-1.0, 0.5),
        {"prior_p": 0.8},
    ),
    Case(
        "Gumbel",
        ("mu", "beta"),
        D.Gumbel,
        lambda rng, shape: rng.gumbel(30, 3, shape),
        _anything,
        priors={"prior_mu": 60.0, "prior_beta": 1.0},
    ),
    Case(
        "HalfNormal",
        ("sigma",),
        D.HalfNormal,
        lambda rng, shape: np.abs(rng.normal(0, 3, shape)),
        _positive,
        (-0.5,),
        {"prior_sigma": 12.0},
    ),
    Case(
        "Laplace",
        ("mu", "b"),
        D.Laplace,
        lambda rng, shape: rng.laplace(40, 4, shape),
        _anything,
        priors={"prior_mu": 80.0, "prior_b": 1.0},
    ),
    Case(
        "LogNormal",
        ("mu", "sigma"),
        D.LogNormal,
        lambda rng, shape: rng.lognormal(1.0, 0.5, shape),
        _positive,
        (-0.5, 0.0),
        {"prior_mu": 3.0, "prior_sigma": 0.2},
    ),
    Case(
        "Weibull",
        ("lambda", "k"),
        D.Weibull,
        lambda rng, shape: 3 * rng.weibull(2.0, shape),
        _positive,
        (-0.5, 0.0),
    ),
]
FAST = {"optimizer_kwargs": {"lr": 0.03}}
"""Settings that make the most of few steps."""
BY_NAME = {case.name: case for case in CASES}
LOCATED = {
    "quantile": "quantile",
    "normal": "normal",
    "student_t": "student_t",
    "QuantileRegression": QuantileRegression([0.1, 0.5, 0.9]),
    "Gaussian": GaussianLikelihood(),
    "beta-NLL": GaussianLikelihood(beta_nll=0.5),
    "Laplace": likelihoods.LaplaceLikelihood(),
    "Cauchy": likelihoods.CauchyLikelihood(),
    "Gumbel": likelihoods.GumbelLikelihood(),
}


@pytest.fixture(params=CASES, ids=[case.name for case in CASES])
def case(request):
    """Each of darts' likelihoods that has a distribution for every component."""
    return request.param


def as_series(values):
    times = pd.date_range("2020-01-01", periods=len(values), freq="D")
    return TimeSeries.from_times_and_values(times, np.asarray(values, dtype=float))


def several(draw, n_series=8, length=40):
    """Return series of independent draws."""
    rng = np.random.default_rng(4)
    return [as_series(draw(rng, (length, 1))) for _ in range(n_series)]


def model_with(likelihood, n_steps=6, **settings):
    """Return a small model that trains for some steps."""
    return VanillaLSTMModel(
        **{
            "input_chunk_length": 12,
            "output_chunk_length": 4,
            "season_length": 1,
            "hidden_size": 4,
            "batch_size": 32,
            "random_state": 2,
            "pl_trainer_kwargs": {"max_steps": n_steps},
            "likelihood": likelihood,
            **settings,
        }
    )


def parameters_of(model, series, n=4):
    """Return the forecast distributions' parameters (series, steps, K)."""
    found = model.predict(n, series, predict_likelihood_parameters=True)
    return np.stack([one.values() for one in found])


def samples_of(model, series, n=4, num_samples=499, seed=0):
    """Return samples (series, steps, samples)."""
    found = model.predict(n, series, num_samples=num_samples, random_state=seed)
    return np.stack([one.all_values()[:, 0] for one in found])


@pytest.fixture
def no_training(monkeypatch):
    """Let every training fail the test."""
    monkeypatch.setattr(pl.Trainer, "fit", lambda *_, **__: pytest.fail("training"))


# -- every likelihood ---------------------------------------------------------------


def test_every_likelihood_of_darts_is_tested():
    classes = {
        name
        for name, one in vars(likelihoods).items()
        if isinstance(one, type) and issubclass(one, TorchLikelihood)
    }
    tested = {f"{case.name}Likelihood" for case in CASES}
    assert classes - {"TorchLikelihood"} == tested | {
        "DirichletLikelihood",
        "QuantileRegression",
    }


def test_samples_and_parameters_agree_and_lie_in_the_support(case):
    series = several(case.draw)
    model = model_with(case()).fit(series)
    parameters = parameters_of(model, series)
    assert parameters.shape == (8, 4, len(case.parameters))
    names = model.predict(2, series[0], predict_likelihood_parameters=True).components
    assert list(names) == [f"0_{name}" for name in case.parameters]

    samples = samples_of(model, series)
    assert case.inside(samples).all()
    given = [torch.from_numpy(one) for one in np.moveaxis(parameters, -1, 0)]
    torch.manual_seed(5)
    draws = case.distribution(*given).sample((4000,)).movedim(0, -1).numpy()
    for level in LEVELS:
        ours = np.quantile(samples, level, axis=-1, method="inverted_cdf")[..., None]
        assert (np.mean(draws < ours, -1) < level + 0.04).all()
        assert (np.mean(draws <= ours, -1) > level - 0.04).all()


def test_samples_beyond_the_chunk_lie_in_the_support(case):
    series = several(case.draw)
    model = model_with(case()).fit(series)
    samples = samples_of(model, series, n=10, num_samples=30)
    assert samples.shape == (8, 10, 30)
    assert case.inside(samples).all()


def test_a_single_sample_is_the_median(case):
    series = several(case.draw, n_series=2)
    model = model_with(case()).fit(series)
    samples = samples_of(model, series, num_samples=99)
    medians = np.sort(samples, -1)[..., 49]
    found = np.stack([one.values()[:, 0] for one in model.predict(4, series)])
    assert_allclose(found, medians, rtol=1e-6)
    # medians are fed back, too: the same whatever is drawn
    first, second = (model.predict(10, series, random_state=seed) for seed in (1, 2))
    assert first == second


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.priors], ids=lambda case: case.name
)
def test_priors_pull_the_parameters_to_where_they_say(case):
    """In the user's units, whatever the network's are."""
    series = several(case.draw)
    prior = case.distribution(*(torch.tensor(one) for one in case.priors.values()))
    divergences = []
    for settings in ({}, {**case.priors, "prior_strength": 200.0}):
        model = model_with(case(**settings), 100, **FAST).fit(series)
        found = torch.from_numpy(parameters_of(model, series)).float().unbind(-1)
        divergence = torch_distributions.kl_divergence(prior, case.distribution(*found))
        divergences.append(divergence.mean().item())
    free, pulled = divergences
    assert pulled < 0.6 * free


@pytest.mark.parametrize(
    ("case", "value"),
    [(case, value) for case in CASES for value in case.outside],
    ids=lambda part: getattr(part, "name", str(part)),
)
def test_data_outside_the_support_are_refused_before_training(case, value, no_training):
    values = case.draw(np.random.default_rng(4), (40, 1)).astype(float)
    values[7] = value
    message = (
        f"{case.name}Likelihood forecasts values in .*, but the series have values "
        f"from {values.min():.6g} to {values.max():.6g}. Pass"
    )
    with pytest.raises(DataError, match=message):
        model_with(case()).fit(as_series(values))


@pytest.mark.parametrize(
    ("name", "value"), [("Gamma", 0.0), ("Beta", 0.0), ("Beta", 1.0)]
)
def test_a_bound_without_a_density_is_refused_before_training(name, value, no_training):
    """A single such value ended in an error of torch, in the middle of training."""
    case = BY_NAME[name]
    values = case.draw(np.random.default_rng(4), (40, 2))
    values[7, 1] = value
    message = (
        f"{name}Likelihood has no finite density at {value:.6g}, which the series "
        "hold. Move such values inside"
    )
    with pytest.raises(DataError, match=message):
        model_with(case()).fit(as_series(values))


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("Exponential", [0.0]),
        ("HalfNormal", [0.0]),
        ("ContinuousBernoulli", [0.0, 1.0]),
    ],
)
def test_a_bound_with_a_density_is_learnt_from(name, bounds):
    case = BY_NAME[name]
    values = case.draw(np.random.default_rng(4), (40, 1))
    values[7 : 7 + len(bounds), 0] = bounds
    series = as_series(values)
    model = model_with(case(), 2).fit(series)
    assert case.inside(samples_of(model, [series], num_samples=9)).all()


def test_divergence_is_told_of_every_likelihood(case, diverge_above):
    """Errors of torch about the distribution's parameters came in the way."""
    diverge_above(0.0)
    model = model_with(case(**case.priors), 2, optimizer_kwargs={"lr": 1.0})
    with (
        pytest.warns(TrainingWarning, match=r"rate of 1; it begins again at 0\.1"),
        pytest.raises(TrainingError, match=r"diverged.*optimizer_kwargs=\{'lr': 1e-3"),
    ):
        model.fit(several(case.draw, n_series=1))


def test_a_broken_network_never_forecasts_by_any_likelihood(case):
    series = several(case.draw, n_series=1)
    model = model_with(case(), 2).fit(series)
    with torch.no_grad():
        next(model.network_.network.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingError, match="not finite"):
        model.predict(4, series, num_samples=3)


def test_targets_of_a_dataset_outside_the_support_are_no_divergence():
    series = as_series(np.full((40, 1), -0.5))
    dataset = SequentialTorchTrainingDataset(
        series, input_chunk_length=12, output_chunk_length=4
    )
    model = model_with(likelihoods.GammaLikelihood())
    with pytest.raises(ValueError, match=r"value argument .* within the support"):
        model.fit_from_dataset(dataset)


def test_missing_values_are_within_every_support(case):
    values = case.draw(np.random.default_rng(4), (40, 1)).astype(float)
    values[5:8] = np.nan
    series = as_series(values)
    model = model_with(case(), 2).fit(series)
    assert case.inside(samples_of(model, [series], num_samples=9)).all()


# -- known answers ------------------------------------------------------------------


def well_trained(likelihood, draw):
    """Return the parameters of forecasts by a model that has learnt something."""
    series = several(draw, n_series=40)
    settings = {"input_chunk_length": 24, "batch_size": 64, **FAST}
    model = model_with(likelihood, 300, **settings).fit(series)
    return np.moveaxis(parameters_of(model, series), -1, 0)


def test_poisson_finds_the_rate():
    (rate,) = well_trained(PoissonLikelihood(), BY_NAME["Poisson"].draw)
    assert rate.mean() == pytest.approx(20, rel=0.05)
    assert rate.std() < 2


@pytest.mark.parametrize("likelihood", ["normal", GaussianLikelihood(beta_nll=0.5)])
def test_gaussian_finds_mean_and_deviation(likelihood):
    mean, deviation = well_trained(likelihood, BY_NAME["Gaussian"].draw)
    assert mean.mean() == pytest.approx(50, abs=0.5)
    assert deviation.mean() == pytest.approx(5, rel=0.1)


def test_laplace_finds_location_and_scale():
    case = BY_NAME["Laplace"]
    location, scale = well_trained(case(), case.draw)
    assert location.mean() == pytest.approx(40, abs=0.5)
    assert scale.mean() == pytest.approx(4, rel=0.2)


def test_student_t_finds_heavy_tails():
    location, scale, freedom = well_trained(
        "student_t", lambda rng, shape: 100 + 5 * rng.standard_t(4, shape)
    )
    assert location.mean() == pytest.approx(100, abs=1.0)
    assert scale.mean() == pytest.approx(5, rel=0.15)
    assert 2.1 < freedom.mean() < 8


def test_quantiles_are_those_of_the_data():
    found = well_trained(
        QuantileRegression([0.1, 0.5, 0.9]), BY_NAME["Gaussian"].draw
    ).mean((1, 2))
    assert_allclose(found, 50 + 5 * 1.2816 * np.array([-1, 0, 1]), atol=0.7)


def test_negative_binomial_finds_mean_and_variance():
    case = BY_NAME["NegativeBinomial"]  # mean 20, variance 100
    r, p = well_trained(case(), case.draw)
    mean = r * p / (1 - p)
    assert mean.mean() == pytest.approx(20, rel=0.1)
    assert (mean / (1 - p)).mean() == pytest.approx(100, rel=0.2)


def test_beta_finds_mean_and_precision():
    case = BY_NAME["Beta"]
    alpha, beta = well_trained(case(), case.draw)
    assert (alpha / (alpha + beta)).mean() == pytest.approx(1 / 3, rel=0.05)
    assert (alpha + beta).mean() == pytest.approx(6, rel=0.25)


def test_gamma_finds_mean_and_shape():
    case = BY_NAME["Gamma"]
    alpha, beta = well_trained(case(), case.draw)
    assert (alpha / beta).mean() == pytest.approx(2.0, rel=0.05)
    assert alpha.mean() == pytest.approx(4.0, rel=0.25)


def test_bernoulli_finds_the_probability():
    case = BY_NAME["Bernoulli"]
    (share,) = well_trained(case(), case.draw)
    assert share.mean() == pytest.approx(0.3, abs=0.03)


# -- units --------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", LOCATED.values(), ids=LOCATED)
def test_located_likelihoods_follow_the_units_of_the_series(likelihood):
    """Another unit and another zero change the forecast by just these."""
    series = several(BY_NAME["Gaussian"].draw, n_series=3)
    moved = [one * 1024.0 + 2.0**16 for one in series]
    found = [
        np.sort(samples_of(model_with(likelihood, 10).fit(one), one, 4, 99))
        for one in (series, moved)
    ]
    assert_allclose(found[1], found[0] * 1024.0 + 2.0**16, rtol=1e-5)


def test_a_prior_speaks_of_the_units_of_the_series():
    def draw(rng, shape):
        return rng.normal(1000, 50, shape)

    means = {}
    for prior in (None, 50.0, 10.0):
        likelihood = GaussianLikelihood(prior_sigma=prior, prior_strength=30.0)
        means[prior] = well_trained(likelihood, draw)[1].mean()
    assert means[None] == pytest.approx(50, rel=0.1)
    assert means[50.0] == pytest.approx(50, rel=0.1)
    # a balance of 30 parts of a prior of 10 and one of data that scatter by 50:
    # the deviation s minimises 30 (ln s + 10^2 / 2 s^2) + ln s + 50^2 / 2 s^2
    assert means[10.0] == pytest.approx(np.sqrt((30 * 100 + 2500) / 31), rel=0.2)


@pytest.mark.parametrize("joint", [False, True])
def test_a_prior_may_differ_between_components(joint):
    rng = np.random.default_rng(4)
    which = pd.DataFrame({"which": [-1.0, 1.0]})  # for a network that both share
    series = [
        as_series(rng.normal(50, 5, (40, 2))).with_static_covariates(which)
        for _ in range(8)
    ]
    prior = [2.0, 10.0]
    likelihood = GaussianLikelihood(prior_sigma=prior, prior_strength=200.0)
    model = model_with(likelihood, 150, joint_channels=joint, **FAST).fit(series)
    parameters = parameters_of(model, series).reshape(8, 4, 2, 2)
    assert_allclose(parameters[..., 1].mean((0, 1)), prior, rtol=0.4)


def test_weights_act_as_repetition_does():
    """Of two levels that alternate, the one of greater weight gives the rate."""
    case = BY_NAME["Bernoulli"]
    values = np.tile([0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], 12)[:, None]
    series = as_series(values)
    rates = []
    for weight in (1.0, 9.0):
        weights = as_series(np.where(values == 1, weight, 1.0))
        model = model_with(case(), 30, linear_path=False, hidden_size=1, **FAST)
        model.fit(series, sample_weight=weights)
        rates.append(parameters_of(model, [series]).mean())
    assert rates[1] > rates[0] + 0.02


@pytest.mark.parametrize("likelihood", ["normal", "Laplace", "Poisson", "Beta"])
def test_the_unit_of_the_weights_does_not_matter(likelihood):
    case = BY_NAME["Gaussian" if likelihood == "normal" else likelihood]
    likelihood = likelihood if likelihood == "normal" else case()
    series = several(case.draw, n_series=2)
    losses = []
    for weight in (1.0, 0.25):
        weights = [as_series(np.full((40, 1), weight)) for _ in series]
        model = model_with(likelihood, 1, batch_size=64)
        model.fit(series, sample_weight=weights)
        losses.append(model.trainer.callback_metrics["train_loss"].item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("name", ["Poisson", "NegativeBinomial", "Geometric"])
def test_counts_may_be_zero_for_long(name):
    """A window that never moved has no scale of its own, but counts have one."""
    case = BY_NAME[name]
    values = np.zeros((60, 1))
    values[[5, 22, 38], 0] = [3, 1, 2]
    series = as_series(values)
    model = model_with(case(), 60, **FAST).fit(series)
    is_moved = name in ("Poisson", "NegativeBinomial")
    assert model.network_.layout.least_scale == (1.0 if is_moved else 0.0)
    parameters = parameters_of(model, [series]).reshape(-1, len(case.parameters))
    samples = samples_of(model, [series])
    assert np.isfinite(parameters).all()
    assert case.inside(samples).all()
    assert samples.mean() < 1.0


# -- Dirichlet ----------------------------------------------------------------------


@pytest.fixture
def shares():
    """Series of three components that add up to one."""
    rng = np.random.default_rng(4)
    return [as_series(rng.dirichlet([2.0, 3.0, 5.0], 40)) for _ in range(20)]


def test_dirichlet_samples_add_up_to_one(shares):
    model = model_with(DirichletLikelihood(), joint_channels=True).fit(shares)
    for n, num_samples in ((4, 1), (4, 30), (10, 1), (10, 30)):
        for one in model.predict(n, shares, num_samples=num_samples):
            values = one.all_values()
            assert (values > 0).all()
            assert_allclose(values.sum(1), 1.0, rtol=1e-6)


def test_dirichlet_finds_the_shares(shares):
    settings = {"joint_channels": True, **FAST}
    model = model_with(DirichletLikelihood(), 150, **settings).fit(shares)
    found = model.predict(4, shares[0], predict_likelihood_parameters=True)
    assert list(found.components) == ["0_alpha", "1_alpha", "2_alpha"]
    alpha = parameters_of(model, shares).mean((0, 1))
    # darts' concentrations add up to one; the most likely ones of these have
    # digamma(alpha) = mean log share, but for a constant
    logs = np.mean([np.log(one.values()).mean(0) for one in shares], axis=0)
    residual = special.digamma(alpha) - logs
    assert alpha.sum() == pytest.approx(1)
    assert_allclose(residual - residual.mean(), 0, atol=0.1)
    samples = np.stack(
        [one.all_values() for one in model.predict(4, shares, num_samples=400)]
    )
    assert_allclose(samples.mean((0, 1, 3)), alpha, atol=0.01)


def test_dirichlet_leaves_out_steps_of_which_a_share_is_missing(shares):
    """And learns from all others what it learns where nothing of these is known."""
    losses = []
    for known in (0.2, np.nan):
        values = shares[0].values(copy=True)
        values[-3:] = known, np.nan, known
        model = model_with(DirichletLikelihood(), 1, joint_channels=True, batch_size=99)
        model.fit([as_series(values), *shares[1:3]])
        losses.append(model.trainer.callback_metrics["train_loss"].item())
    assert np.isfinite(losses).all()
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_dirichlet_needs_the_channels_together(shares, no_training):
    message = r"DirichletLikelihood is one distribution.*Pass joint_channels=True"
    with pytest.raises(ParameterError, match=message):
        model_with(DirichletLikelihood())
    model = model_with(DirichletLikelihood(), joint_channels=True)
    with pytest.raises(DataError, match=r"DirichletLikelihood forecasts values in"):
        model.fit([one * 2 for one in shares])


# -- words and objects --------------------------------------------------------------


@pytest.mark.parametrize("likelihood", LOCATED.values(), ids=LOCATED)
def test_sampled_quantiles_do_not_cross(likelihood):
    series = several(BY_NAME["Gaussian"].draw, n_series=3)
    model = model_with(likelihood).fit(series)
    for one in model.predict(10, series, num_samples=200):
        assert np.isfinite(one.all_values()).all()
        quantiles = [one.quantile(level).values() for level in LEVELS]
        assert (np.diff(quantiles, axis=0) > 0).all()


@pytest.mark.parametrize(
    ("word", "parameters"),
    [
        ("quantile", [f"q{q:.3f}" for q in (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)]),
        ("normal", ["mu", "sigma"]),
        ("student_t", ["mu", "sigma", "nu"]),
    ],
)
def test_words_name_likelihoods(word, parameters):
    series = several(BY_NAME["Gaussian"].draw, n_series=2)
    model = model_with(word).fit(series)
    assert model.supports_probabilistic_prediction
    found = model.predict(4, series[0], predict_likelihood_parameters=True)
    assert list(found.components) == [f"0_{name}" for name in parameters]
    if word == "quantile":
        assert (np.diff(found.values()) > 0).all()


def test_normal_is_darts_gaussian():
    series = several(BY_NAME["Gaussian"].draw, n_series=2)
    found = [
        parameters_of(model_with(one).fit(series), series)
        for one in ("normal", GaussianLikelihood())
    ]
    assert_array_equal(*found)


def test_samples_of_student_t_have_its_quantiles():
    series = several(BY_NAME["Gaussian"].draw, n_series=2)
    model = model_with("student_t").fit(series)
    mu, sigma, nu = np.moveaxis(parameters_of(model, series), -1, 0)
    assert (nu > 2).all()
    samples = samples_of(model, series)
    torch.manual_seed(5)
    given = [torch.from_numpy(one) for one in (nu, mu, sigma)]
    draws = D.StudentT(*given).sample((4000,)).movedim(0, -1).numpy()
    for level in LEVELS:
        ours = np.quantile(samples, level, axis=-1)[..., None]
        assert_allclose(np.mean(draws <= ours, -1), level, atol=0.04)


def test_sampled_quantiles_are_the_trained_ones():
    series = several(BY_NAME["Gaussian"].draw, n_series=2)
    model = model_with(QuantileRegression([0.1, 0.5, 0.9])).fit(series)
    trained = parameters_of(model, series)
    samples = samples_of(model, series, num_samples=999)
    ours = np.moveaxis(np.quantile(samples, [0.1, 0.5, 0.9], axis=-1), 0, -1)
    spread = np.ptp(trained, axis=-1, keepdims=True)
    assert (np.abs(ours - trained) < 0.01 * spread).all()


@pytest.mark.parametrize("word", ["gaussian", "Quantile", ""])
def test_unknown_words_are_refused(word):
    with pytest.raises(ParameterError, match=r"is unknown\..*Valid values: None, 'qu"):
        model_with(word)


class OfAUser(TorchLikelihood):
    """A likelihood whose distribution is not known here."""

    def __init__(self):
        super().__init__(likelihood_type=None, parameter_names=["mu"])

    def _params_from_output(self, model_output):
        return (model_output[..., 0],)

    def _distr_from_params(self, params):
        return D.Normal(params[0], 1.0)

    def sample(self, model_output):
        return model_output[..., 0]


@pytest.mark.parametrize(
    "thing", [0.5, ["normal"], GaussianLikelihood, torch.nn.MSELoss(), OfAUser()]
)
def test_other_objects_are_refused(thing):
    with pytest.raises(ParameterTypeError, match=r"likelihood must be None, one of"):
        model_with(thing)


def test_point_forecasts_have_no_samples():
    series = several(BY_NAME["Gaussian"].draw, n_series=1)
    model = model_with(None).fit(series)
    assert not model.supports_probabilistic_prediction
    with pytest.raises(ValueError, match="`num_samples > 1` is only supported for"):
        model.predict(4, series, num_samples=2)
    with pytest.raises(ValueError, match="likelihood"):
        model.predict(4, series, predict_likelihood_parameters=True)


def test_the_likelihood_keeps_its_kind_through_saving(tmp_path):
    series = several(BY_NAME["Gaussian"].draw, n_series=1)
    for likelihood in ("student_t", BY_NAME["Laplace"](prior_b=3.0)):
        model = model_with(likelihood).fit(series)
        path = str(tmp_path / f"{model.likelihood!r:.20}.pt".replace("(", ""))
        model.save(path)
        loaded = VanillaLSTMModel.load(path)
        assert loaded.likelihood == model.likelihood
        assert_array_equal(parameters_of(loaded, series), parameters_of(model, series))
    assert isinstance(model_with("student_t").likelihood, StudentTLikelihood)
