"""What series may be like: components in any order, samples, static covariates."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
import torchmetrics
from darts import TimeSeries, concatenate
from darts.models import BlockRNNModel, ConformalNaiveModel
from darts.utils.likelihood_models.torch import (
    GaussianLikelihood,
    LaplaceLikelihood,
)
from pytorch_lightning.callbacks import EarlyStopping

from lstm_forecasters.backend import training
from lstm_forecasters.backend.training import batches_per_block
from lstm_forecasters.darts import VanillaLSTMModel
from lstm_forecasters.errors import CovariateError, DataError, ParameterError


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small model, pretrained ones too."""
    return make_any


N_STEPS = 60


@pytest.fixture
def pair(monthly):
    """A series of two components of different levels."""
    values = [monthly(level=100, seed=1), monthly(level=1000, seed=2)]
    times = values[0].time_index
    stacked = np.concatenate([one.values() for one in values], 1)
    return TimeSeries.from_times_and_values(times, stacked, columns=["low", "high"])


@pytest.fixture
def described(pair):
    """The same series with static covariates of each component."""
    static = pd.DataFrame({"size": [1.0, 2.0], "age": [3.0, 5.0]})
    return pair.with_static_covariates(static)


@pytest.mark.parametrize("n", [4, 15])
def test_forecasts_keep_the_order_of_the_components(make, pair, n):
    model = make(joint_channels=True, likelihood="quantile").fit(pair)
    turned = pair[["high", "low"]]
    expected = model.predict(n, series=pair, num_samples=3, random_state=1)
    found = model.predict(n, series=turned, num_samples=3, random_state=1)
    assert list(found.components) == ["high", "low"]
    for name in ("low", "high"):
        np.testing.assert_allclose(
            found[name].all_values(), expected[name].all_values(), rtol=1e-6
        )


def test_parameters_keep_the_order_of_the_components(small, pair):
    model = VanillaLSTMModel(joint_channels=True, likelihood="quantile", **small)
    model.fit(pair)
    expected = model.predict(5, predict_likelihood_parameters=True)
    found = model.predict(
        5, series=pair[["high", "low"]], predict_likelihood_parameters=True
    )
    for name in expected.components:
        np.testing.assert_allclose(
            found[name].values(), expected[name].values(), rtol=1e-6
        )


def test_a_backtest_does_not_depend_on_the_order_of_the_components(small, pair):
    model = VanillaLSTMModel(joint_channels=True, **small).fit(pair)
    errors = [
        model.backtest(one, start=40, retrain=False, forecast_horizon=3)
        for one in (pair, pair[["high", "low"]])
    ]
    assert errors[0] == pytest.approx(errors[1], rel=1e-6)


@pytest.fixture
def late(monthly):
    """A series without its first value, and a covariate that begins later."""
    values = monthly().values()
    values[0] = np.nan
    later = monthly(seed=5)[11:]
    return {"series": monthly().with_values(values), "past_covariates": later}


@pytest.mark.filterwarnings("ignore:'pin_memory'")
@pytest.mark.parametrize("kind", ["series", "past_covariates"])
def test_historical_forecasts_begin_where_those_of_darts_do(make, monthly, late, kind):
    theirs = BlockRNNModel(
        12,
        6,
        n_epochs=1,
        pl_trainer_kwargs={
            "accelerator": "cpu",
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
    )
    whole = {"series": monthly(), kind: monthly()}
    given = {**whole, kind: late[kind]}
    found, expected = (
        model.fit(**whole).historical_forecasts(
            **given, retrain=False, forecast_horizon=6, stride=20
        )
        for model in (make(), theirs)
    )
    assert found.time_index.equals(expected.time_index)
    assert not np.isnan(found.values()).any()


def test_the_first_retraining_has_a_whole_window_and_its_targets(
    model_class, small, monthly
):
    series = monthly()
    found = model_class(**small).historical_forecasts(
        series, forecast_horizon=6, stride=40, last_points_only=False
    )
    expected = model_class(**small).fit(series[:18]).predict(6)
    assert found[0].time_index.equals(expected.time_index)
    np.testing.assert_allclose(found[0].values(), expected.values(), rtol=1e-6)


def test_conformal_intervals_are_of_whole_windows(make, late):
    series = late["series"]
    model = make().fit(series)
    found, expected = (
        ConformalNaiveModel(model, quantiles=[0.1, 0.5, 0.9], **settings).predict(
            6, series=series, predict_likelihood_parameters=True
        )
        for settings in ({}, {"cal_length": N_STEPS - 12 - 6 + 1})
    )
    np.testing.assert_allclose(found.values(), expected.values(), rtol=1e-6)


def test_a_series_shorter_than_a_window_has_no_historical_forecasts(make, monthly):
    model = make().fit(monthly()[:10])
    assert len(model.predict(3, series=monthly()[:1])) == 3
    with pytest.raises(ValueError, match="input time index requirements"):
        model.historical_forecasts(monthly()[:10], retrain=False)


def steps_of(dataset, number):
    """Return where the windows of a series end."""
    series, steps = dataset.origins.at(torch.arange(len(dataset)))
    return steps[series == number].tolist()


def test_the_latest_complete_windows_are_kept(small, pair):
    model = VanillaLSTMModel(**small).fit(pair)
    dataset = model._build_train_dataset([pair], None, None, None, 3)
    assert steps_of(dataset, 0) == [N_STEPS - 8, N_STEPS - 7, N_STEPS - 6]
    assert not np.isnan(dataset[0].future_target).any()


def test_strides_count_from_the_last_complete_window(small, pair):
    model = VanillaLSTMModel(**small).fit(pair)
    dataset = model._build_train_dataset([pair], None, None, None, None, stride=20)
    assert steps_of(dataset, 0) == [14, 34, 54]
    assert len(dataset) == 3


def test_a_short_series_gives_a_window_in_spite_of_a_stride(small, pair):
    model = VanillaLSTMModel(**small).fit(pair)
    given = [pair, pair[:4]]
    dataset = model._build_train_dataset(given, None, None, None, None, stride=7)
    assert steps_of(dataset, 1) == [1]


def test_a_stride_and_a_limit_go_together(small, pair):
    model = VanillaLSTMModel(**small).fit(pair)
    given = [pair, pair[:4]]
    dataset = model._build_train_dataset(given, None, None, None, 2, stride=20)
    assert steps_of(dataset, 0) == [34, 54]
    assert steps_of(dataset, 1) == [1]
    last, third = dataset[-1].past_target, dataset[2].past_target
    np.testing.assert_array_equal(last, third)
    with pytest.raises(IndexError):
        dataset[3]


def test_a_series_that_ends_before_what_is_forecast_gives_no_window(small, pair):
    """A limit or a stride does not change that."""
    model = VanillaLSTMModel(**small, output_chunk_shift=3).fit(pair)
    given = [pair, pair[:4], pair[:5]]
    for limits in ({"max_samples_per_ts": 1}, {"stride": 30}, {}):
        dataset = model._build_train_dataset(
            given, None, None, None, **{"max_samples_per_ts": None, **limits}
        )
        assert steps_of(dataset, 1) == []
        assert steps_of(dataset, 2) == [1]


def test_samples_of_a_series_count_by_their_medians(small, monthly):
    single = monthly()
    noise = np.linspace(-1, 1, 5)[None, None]
    values = single.all_values() + noise
    several = TimeSeries.from_times_and_values(single.time_index, values)
    expected = VanillaLSTMModel(**small).fit(single).predict(8).values()
    found = VanillaLSTMModel(**small).fit(several).predict(8).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_static_covariates_of_some_series_only_are_refused(small, monthly):
    with_size = monthly().with_static_covariates(pd.DataFrame({"size": [1.0]}))
    for given in ([monthly(), with_size], [with_size, monthly()]):
        with pytest.raises(CovariateError, match="static covariates"):
            VanillaLSTMModel(**small).fit(given)
        VanillaLSTMModel(use_static_covariates=False, **small).fit(given)


@pytest.mark.parametrize("joint_channels", [False, True])
def test_static_covariates_of_components_travel_with_the_network(
    small, described, joint_channels
):
    model = VanillaLSTMModel(joint_channels=joint_channels, **small).fit(described)
    other = VanillaLSTMModel.from_network(model.network_)
    expected = model.predict(9).values()
    found = other.predict(9, series=described).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    turned = described.with_static_covariates(described.static_covariates.iloc[:, ::-1])
    found = other.predict(9, series=turned).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_channels_forecast_alone_may_be_fewer(small, described):
    model = VanillaLSTMModel(**small).fit(described)
    expected = model.predict(6, series=described)["low"].values()
    found = model.predict(6, series=described["low"]).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_network_with_a_likelihood_of_darts_moves_to_another_model(small, monthly):
    model = VanillaLSTMModel(likelihood=LaplaceLikelihood(), **small).fit(monthly())
    other = VanillaLSTMModel.from_network(model.network_)
    assert other.likelihood == LaplaceLikelihood()
    expected = model.predict(5, predict_likelihood_parameters=True).values()
    found = other.predict(5, series=monthly(), predict_likelihood_parameters=True)
    np.testing.assert_allclose(found.values(), expected, rtol=1e-6)


def test_a_network_that_matched_by_position_still_does(small, monthly):
    covariates = [monthly(seed=1, columns=["x"]), monthly(seed=2, columns=["y"])]
    model = VanillaLSTMModel(**small)
    model.fit([monthly(), monthly(seed=5)], past_covariates=covariates)
    other = VanillaLSTMModel.from_network(model.network_)
    forecasts = [
        one.predict(4, series=monthly(), past_covariates=covariates[1]).values()
        for one in (model, other)
    ]
    np.testing.assert_allclose(*forecasts, rtol=1e-6)


def test_a_frequency_without_a_name_has_no_season(small):
    times = pd.date_range("2020", periods=40, freq=pd.DateOffset(days=2))
    values = np.random.default_rng(0).normal(size=40)
    series = TimeSeries.from_times_and_values(times, values)
    model = VanillaLSTMModel(**small).fit(series)
    assert model.network_.layout.period == 1


def test_the_loss_is_known_when_the_steps_end_within_an_epoch(small, monthly):
    stopping = EarlyStopping("train_loss")
    settings = {**small, "n_epochs": None}
    trainer = {"callbacks": [stopping], "max_steps": 2}
    model = VanillaLSTMModel(pl_trainer_kwargs=trainer, **settings).fit(monthly())
    assert model.trainer.global_step == 2
    assert np.isfinite(float(model.trainer.callback_metrics["train_loss"]))


@pytest.mark.parametrize("kwargs", [{"foreach": True}, {"lr": 1e-3}, {"fused": False}])
def test_the_user_chooses_how_adam_steps(small, monthly, kwargs):
    model = VanillaLSTMModel(optimizer_kwargs=kwargs, **small).fit(monthly())
    group = model.trainer.optimizers[0].param_groups[0]
    for name, value in kwargs.items():
        assert group[name if name != "lr" else "initial_lr"] == value


def test_names_may_come_in_another_order_in_each_series(small, monthly):
    def covariates(seed):
        both = [
            monthly(seed=seed + one, columns=[name]) for one, name in enumerate("xz")
        ]
        return both[0].stack(both[1])

    first, second = covariates(1), covariates(11)
    turned = second[["z", "x"]]
    series = [monthly(), monthly(seed=5)]
    models = [
        VanillaLSTMModel(**small).fit(series, past_covariates=[first, one])
        for one in (second, turned)
    ]
    forecasts = [
        model.predict(4, series=series[1], past_covariates=one).values()
        for model, one in zip(models, (second, turned), strict=True)
    ]
    np.testing.assert_allclose(*forecasts, rtol=1e-6)


def test_a_refused_fit_loses_nothing(small, monthly, pair):
    covariate = monthly(seed=1, columns=["x"])
    model = VanillaLSTMModel(**small).fit(monthly(), past_covariates=covariate)
    expected = model.predict(4).values()
    for series, past in ((pair, covariate), (monthly(), covariate[:30])):
        with pytest.raises(ValueError, match=r"dimension|must cover"):
            model.fit(series, past_covariates=past)
        np.testing.assert_array_equal(model.predict(4).values(), expected)


def test_a_refused_first_fit_leaves_an_unfitted_model(small, monthly):
    model = VanillaLSTMModel(**small)
    with pytest.raises(CovariateError):
        model.fit(monthly(), past_covariates=monthly()[:20])
    with pytest.raises(ValueError, match="must be fit"):
        model.predict(3, series=monthly())
    model.fit(monthly())
    assert model.predict(3).n_timesteps == 3


def test_weights_of_zero_are_refused(small, monthly):
    weights = monthly() * 0.0
    with pytest.raises(DataError, match="0 or NaN everywhere"):
        VanillaLSTMModel(**small).fit(monthly(), sample_weight=weights)


def test_a_network_meets_the_encoders_of_its_new_model(small, monthly):
    encoders = {"cyclic": {"future": ["month"]}}
    model = VanillaLSTMModel(add_encoders=encoders, **small).fit(monthly())
    other = VanillaLSTMModel.from_network(model.network_, add_encoders=encoders)
    expected = model.predict(9).values()
    found = other.predict(9, series=monthly()).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_statistics_of_covariates_stay_exact(small, monthly, precision):
    covariate = monthly(level=1e6, seed=1, columns=["x"])
    trainer = {"precision": precision}
    model = VanillaLSTMModel(pl_trainer_kwargs=trainer, **small)
    model.fit(monthly(), past_covariates=covariate)
    means = model.network_.covariate_means
    assert means.dtype == torch.float64
    assert means.item() == pytest.approx(covariate.values().mean(), rel=1e-12)


def test_weights_without_their_season_are_refused(small, monthly, tmp_path):
    path = str(tmp_path / "model.pt")
    VanillaLSTMModel(**small).fit(monthly()).save(path)
    with pytest.raises(ParameterError, match="season"):
        VanillaLSTMModel(**small).load_weights(path, False, skip_checks=True)
    other = VanillaLSTMModel(season_length=12, **small)
    other.load_weights(path, False, skip_checks=True)
    assert other.network_.layout.period == 12


def test_a_module_can_be_shared_with_processes(small, monthly):
    model = VanillaLSTMModel(**small).fit(monthly())
    state = model.model.__getstate__()
    assert isinstance(state["generator"], np.ndarray)
    other = pickle.loads(pickle.dumps(model.model))
    expected = model.model.generator.get_state()
    torch.testing.assert_close(other.generator.get_state(), expected)


def test_wide_targets_are_forecast_a_few_windows_at_a_time(small, monthly):
    wide = concatenate([monthly(seed=one) for one in range(40)], axis=1)
    model = VanillaLSTMModel(**{**small, "batch_size": None}).fit(wide)
    dataset = model._build_inference_dataset(6, [wide], None, None)
    setup = model._setup_for_predict(6, dataset)
    assert setup["datamodule"].batch_size == 1024 // 40
    assert batches_per_block(model.network_.layout, 16 * 40) == 2**17 // (16 * 12 * 40)


@pytest.mark.parametrize("likelihood", [None, GaussianLikelihood(prior_sigma=[1.0, 9])])
def test_parts_of_a_batch_keep_the_components_together(
    small, pair, monkeypatch, likelihood
):
    found = []
    for cells in (2**19, 12 * 8 * 5):  # 5 of the 32 windows of a batch, 4 if paired
        monkeypatch.setattr(training, "MICRO_BATCH_CELLS", cells)
        metric = torchmetrics.MeanAbsoluteError()
        model = VanillaLSTMModel(likelihood=likelihood, torch_metrics=metric, **small)
        model.fit(pair)
        found.append({key: float(one) for key, one in metrics_of(model).items()})
    assert found[0] == pytest.approx(found[1], rel=1e-2)  # priors weigh each part


def metrics_of(model):
    """Return what a fit logged."""
    return model.trainer.callback_metrics
