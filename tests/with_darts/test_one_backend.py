"""One backend: darts' models train and forecast as the backend does by itself."""

import copy

import numpy as np
import pytest
import torch
from darts import TimeSeries, concatenate
from darts.utils.data import SequentialTorchInferenceDataset
from darts.utils.data import SequentialTorchTrainingDataset as DartsTrainingDataset
from darts.utils.data.torch_datasets.utils import (
    PLModuleInput,
    TorchTrainingBatch,
    _batch_collate_fn_train,
)
from darts.utils.likelihood_models.torch import PoissonLikelihood, QuantileRegression
from numpy.testing import assert_allclose, assert_array_equal
from pytorch_lightning import Callback
from sklearn.utils import check_random_state
from torch import Generator

from lstm_forecasters.backend import calibration, training
from lstm_forecasters.backend.calibration import rehearse_spread
from lstm_forecasters.backend.forecasting import forecast, walk
from lstm_forecasters.backend.recipe import (
    Recipe,
    default_weight_decay,
    schedule,
    weight_decay_of_steps,
)
from lstm_forecasters.backend.training import ClippedAdamW, Trainer
from lstm_forecasters.backend.windows import Panel, Windows
from lstm_forecasters.darts import StackedLSTMModel, VanillaLSTMModel, base
from lstm_forecasters.darts.datasets import covariates_of_samples
from lstm_forecasters.darts.loading import WindowsLoader, prepare
from lstm_forecasters.darts.module import LSTMModule

N_STEPS = 20


class Recorder(Callback):
    """Note the weights at the start, and every batch and its loss."""

    def __init__(self):
        self.start = None
        self.batches, self.losses, self.gradients = [], [], []

    def on_train_start(self, trainer, pl_module):
        self.start = copy.deepcopy(pl_module.network.state_dict())

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.batches.append(batch)
        self.losses.append(outputs["loss"].item())

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.gradients.append(gradient_of(pl_module.network).clone())


def gradient_of(network):
    """Return the gradient as one vector, before it is clipped."""
    return torch.cat([one.grad.flatten() for one in network.parameters()])


def panel_of(*series, **arrays):
    """Return the backend's panel of some series."""
    return Panel(
        values=np.concatenate([one.values() for one in series]),
        lengths=np.array([len(one) for one in series]),
        **arrays,
    )


def backend_windows(model, *series, **arrays):
    """Return the backend's windows of some series, as a model reads them."""
    return Windows(panel_of(*series, **arrays), model.network_.layout)


def at_most_steps(n_steps=N_STEPS, *callbacks, **settings):
    """Return settings of a model that trains for some steps and tells of them."""
    kwargs = {"max_steps": n_steps, "callbacks": list(callbacks), **settings}
    return {"n_epochs": None, "pl_trainer_kwargs": kwargs}


@pytest.fixture
def two(monthly):
    """Two series of two components, of unequal lengths and levels."""
    return [
        concatenate([monthly(length, level, seed), monthly(length, 5.0, 9)], axis=1)
        for seed, (length, level) in enumerate([(50, 100.0), (44, 2000.0)])
    ]


# -- forecasts ----------------------------------------------------------------------


@pytest.mark.parametrize("n", [4, 6, 15])
def test_points_are_those_of_the_backend(make, two, n):
    model = make(n_epochs=1).fit(two)
    windows = backend_windows(model, *two)
    expected = forecast(model.network_, windows, *windows.cutoffs(), n).points()
    found = np.stack([one.values() for one in model.predict(n, two)])
    assert_allclose(found, expected, rtol=1e-6)


def test_quantiles_are_those_of_the_backend(make, two):
    model = make(n_epochs=1, likelihood="quantile").fit(two)
    windows = backend_windows(model, *two)
    found = model.predict(6, two, predict_likelihood_parameters=True)
    found = np.stack([one.values() for one in found])
    ahead = forecast(model.network_, windows, *windows.cutoffs(), 15)
    expected = ahead.quantiles(np.array(model.likelihood.quantiles))[:, :6]
    assert_allclose(found.reshape(2, 6, 2, 7), expected, rtol=1e-6)
    medians = np.stack([one.values() for one in model.predict(15, two)])
    assert_allclose(medians, ahead.points(), rtol=1e-6)


def test_a_window_that_moves_by_a_part_of_its_chunk_reads_its_own_forecasts(
    make, monthly
):
    """After the first chunk, the last steps of each further one are taken."""
    series = monthly()
    model = make().fit(series)
    expected = [model.predict(6).values()]
    for _ in range(4):
        series = series.append_values(model.predict(6, series).values()[:2])
        expected.append(model.predict(6, series).values()[-2:])
    found = model.predict(13, roll_size=2).values()
    assert_allclose(found, np.concatenate(expected)[:13], rtol=1e-6)


def test_sampled_paths_are_those_of_the_backend(make, two):
    model = make(n_epochs=1, likelihood="normal").fit(two)
    network, windows = model.network_, backend_windows(model, *two)
    found = model.predict(15, two, num_samples=20, random_state=1)
    found = np.stack([one.all_values() for one in found])
    batch = windows.gather(*map(torch.from_numpy, windows.cutoffs()))
    seed = int(check_random_state(1).randint(base.LARGEST_SEED))
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        blocks = walk(network, batch, 3, n_paths=20, generator=generator)
        paths = torch.cat([values for _, values in blocks], 1)[:, :15]
    expected = paths.unflatten(0, (2, 20)).movedim(1, -1).numpy()
    assert_allclose(by_their_start(found), by_their_start(expected), rtol=1e-6)


def by_their_start(paths):
    """Return paths (series, n, C, S) in the order in which they begin."""
    order = paths[:, :1, :1].argsort(-1)
    return np.take_along_axis(paths, order, -1)


def test_samples_of_different_series_do_not_go_together(make):
    """Nor do they depend on what is forecast beside them, or on how far."""
    noise = np.random.default_rng(0).normal(size=(6, 40, 1))
    series = [TimeSeries.from_values(one) for one in noise]
    model = make(n_epochs=1, likelihood="normal").fit(series)
    settings = {"num_samples": 400, "random_state": 1}
    found = np.stack([one.all_values() for one in model.predict(9, series, **settings)])
    for step in (0, 8):
        together = np.corrcoef(found[:, step, 0])
        assert np.abs(together - np.eye(6)).max() < 0.2
    alone = model.predict(4, series[4], **settings).all_values()
    assert_allclose(alone, found[4, :4], atol=1e-6)
    again = model.predict(4, series[4], num_samples=400, random_state=2).all_values()
    assert np.abs(again - alone).max() > 0.1


def test_forecasts_with_covariates_are_those_of_the_backend(make, monthly):
    past, future = monthly(60, 3.0, 5), monthly(60, 7.0, 6)
    series = monthly(60)[:45].with_static_covariates(
        monthly(3).to_dataframe().reset_index(drop=True).iloc[:1] * 0 + 2.0
    )
    model = make(n_epochs=1).fit(
        series, past_covariates=past[:45], future_covariates=future
    )
    found = model.predict(
        6, series, past_covariates=past[:45], future_covariates=future
    ).values()
    windows = backend_windows(
        model,
        series,
        past_covariates=past[:45].values(),
        future_covariates=future[:45].values(),
        static_covariates=np.full((1, 1), 2.0),
    )
    ahead = future[45:51].values()[None]
    expected = forecast(model.network_, windows, *windows.cutoffs(), 6, ahead=ahead)
    assert_allclose(found, expected.points()[0], rtol=1e-6)


def test_forward_equals_predict(make, monthly):
    """So whatever calls the module itself, an exported graph, say, sees the same."""
    series, future = monthly(50), monthly(80, 7.0, 6)
    model = make(likelihood="normal").fit(series, future_covariates=future)
    found = model.predict(
        6, future_covariates=future, predict_likelihood_parameters=True
    )
    x_in = PLModuleInput(
        past_target=torch.from_numpy(series.values()[None, -12:]),
        historic_future_covariates=torch.from_numpy(future.values()[None, 38:50]),
        future_covariates=torch.from_numpy(future.values()[None, 50:56]),
    )
    with torch.no_grad():
        out = model.model(x_in).prediction
    assert out.shape == (1, 6, 1, 2)
    assert out.dtype == torch.float64
    assert_allclose(out[0, :, 0], found.values(), rtol=1e-6)


# -- training -----------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", [None, "quantile", "normal", "student_t"])
def test_lightning_trains_as_the_backend_does(make, two, likelihood):
    """Equal weights, batches, decay and schedule: equal losses for 20 steps."""
    recorder = Recorder()
    model = make(likelihood=likelihood, **at_most_steps(N_STEPS, recorder)).fit(two)
    assert len(recorder.losses) == N_STEPS

    network = copy.deepcopy(model.network_)
    network.load_state_dict(recorder.start)
    network.train()
    recipe = Recipe(max_steps=N_STEPS, batch_size=16)
    trainer = Trainer(network, backend_windows(model, *two), recipe, Generator())
    optimizer = ClippedAdamW(network, recipe.gradient_clip, trainer.weight_decay)
    losses = []
    for step, batch in enumerate(recorder.batches):
        rate = recipe.learning_rate * schedule(step, N_STEPS)
        batch.columns.weight = batch.columns.weight / batch.columns.weight.sum()
        losses.append(trainer.step(optimizer, batch.columns, rate).item())
    assert_allclose(recorder.losses, losses, rtol=1e-5)
    assert losses[-1] < losses[0]
    for name, values in network.state_dict().items():
        ours = model.network_.state_dict()[name]
        torch.testing.assert_close(ours, values, rtol=1e-3, atol=1e-5, msg=name)


def test_weights_decay_as_in_the_backend_and_only_where_they_are_new(make, two):
    model = make(**at_most_steps()).fit(two)
    origins, _ = training.training_windows(backend_windows(model, *two))
    decay = default_weight_decay(model.network_.n_weights, 2 * len(origins))
    expected = weight_decay_of_steps(decay, Recipe.learning_rate, N_STEPS)
    groups = model.trainer.optimizers[0].param_groups
    assert [group["weight_decay"] for group in groups] == [pytest.approx(expected), 0]
    for group, n_axes in zip(groups, ([2, 3], [1]), strict=True):
        assert all(one.ndim in n_axes for one in group["params"])
    found = {id(one) for group in groups for one in group["params"]}
    assert found == {id(one) for one in model.network_.parameters()}
    model.fit(two)
    groups = model.trainer.optimizers[0].param_groups
    assert [group["weight_decay"] for group in groups] == [0, 0]


@pytest.mark.parametrize("cells", [2**19, 600])
def test_an_epoch_shows_each_member_every_window_once(make, two, monkeypatch, cells):
    """In as many steps as a single network takes; whole, and in micro-batches."""
    monkeypatch.setattr(training, "MICRO_BATCH_CELLS", cells)
    seen = [[], [], []]

    class Hooks(Callback):
        def on_train_start(self, trainer, pl_module):
            members = pl_module.network.network.members
            for member, read in zip(members, seen, strict=True):
                member.register_forward_pre_hook(
                    lambda module, given, read=read: read.append(given[0].detach())
                )

    settings = {"n_epochs": 1, "pl_trainer_kwargs": {"callbacks": [Hooks()]}}
    model = make(n_members=3, **settings).fit(two)
    windows = backend_windows(model, *two)
    series, steps = every_origin(windows)
    assert model.trainer.global_step == -(-len(series) // 16)
    every = model.network_.prepare(windows.gather(series, steps)).history
    for member, read in zip(model.network_.network.members, seen, strict=True):
        expected = every[:, -member.sizes.lookback :]
        assert_array_equal(in_order(torch.cat(read)), in_order(expected))


def every_origin(windows):
    """Return series and step of all windows to train on."""
    origins, _ = training.training_windows(windows)
    return origins.at(torch.arange(len(origins)))


def in_order(histories):
    """Return windows as rows, in an order of their own."""
    rows = histories.flatten(1).numpy()
    return rows[np.lexsort(rows.T)]


def test_batches_hold_every_window_of_the_backend_once(two):
    model = VanillaLSTMModel(12, 6, hidden_size=4, n_epochs=1, batch_size=16).fit(two)
    dataset = model._build_train_dataset(two, None, None, None, None)
    loader = WindowsLoader(dataset, 16, model.model, shuffle=True)
    found = torch.cat([batch.columns.history for batch in loader])
    windows = backend_windows(model, *two)
    series, steps = every_origin(windows)
    every = windows.gather(series, steps, with_target=True)
    expected = model.network_.prepare(every).history
    assert len(loader) == -(-len(series) // 16)
    assert len(found) == len(expected) == 2 * len(series)
    assert_array_equal(in_order(found), in_order(expected))


def test_each_epoch_has_an_order_of_its_own(monthly):
    orders = []

    class Order(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            orders.append(trainer.train_dataloader._order().tolist())

    kwargs = {"callbacks": [Order()]}
    for seed in (1, 1, 2):
        VanillaLSTMModel(
            12,
            6,
            hidden_size=4,
            n_epochs=3,
            random_state=seed,
            pl_trainer_kwargs=kwargs,
        ).fit(monthly())
    first, second, third, *again = orders
    assert again[:3] == [first, second, third]
    assert len({tuple(order) for order in (first, second, third, again[3])}) == 4
    assert all(sorted(order) == sorted(first) for order in orders)


# -- darts' own datasets ------------------------------------------------------------


@pytest.fixture
def known(monthly):
    """A series with covariates of every kind, and arguments of darts' datasets."""
    static = monthly(1).to_dataframe().reset_index(drop=True)
    return {
        "series": monthly(50).with_static_covariates(static),
        "past_covariates": monthly(50, 3.0, 5),
        "future_covariates": monthly(50, 7.0, 6),
    }


@pytest.mark.parametrize("likelihood", [None, "normal"])
def test_darts_training_dataset_gives_the_same_loss(make, known, likelihood):
    model = make(n_epochs=1, likelihood=likelihood).fit(**known)
    module, network = model.model, model.network_
    theirs = DartsTrainingDataset(**known, input_chunk_length=12, output_chunk_length=6)
    batch = _batch_collate_fn_train([theirs[row] for row in range(len(theirs))])
    assert isinstance(batch, TorchTrainingBatch)
    ours = model._build_train_dataset(
        [known["series"]],
        [known["past_covariates"]],
        [known["future_covariates"]],
        None,
        None,
    )
    _, steps = ours.origins.at(torch.arange(len(ours)))
    full = (steps >= 12) & (steps <= 44)
    assert int(full.sum()) == len(theirs) == 33
    losses = []
    for windows in (module._windows(batch), ours.gather(full.nonzero()[:, 0])):
        prepared = prepare(network, windows)
        losses.append(module._loss(prepared, module.train_criterion, ()).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_model_is_trained_by_darts_training_dataset(make, known):
    dataset = DartsTrainingDataset(
        **known, input_chunk_length=12, output_chunk_length=6
    )
    before = {}

    class Start(Callback):
        def on_train_start(self, trainer, pl_module):
            before.update(copy.deepcopy(pl_module.network.state_dict()))

    model = make(pl_trainer_kwargs={"callbacks": [Start()]})
    model.fit_from_dataset(dataset)
    after = model.network_.state_dict()
    moved = [name for name in after if not torch.equal(after[name], before[name])]
    assert {name.split(".")[0] for name in moved} == {"network"}
    means = model.network_.covariate_means
    # windows repeat the values in the middle of a series
    expected = [one.values().mean() for one in list(known.values())[1:]]
    assert_allclose(means[:2], expected, rtol=0.2)
    static = known["series"].static_covariates_values()[0]
    assert_allclose(means[2:], static, rtol=1e-6)


def test_statistics_count_each_sample_of_darts_training_dataset_once(known):
    dataset = DartsTrainingDataset(
        **known, input_chunk_length=12, output_chunk_length=6
    )
    panel = covariates_of_samples(dataset)
    samples = [dataset[number] for number in range(len(dataset))]
    seen = np.concatenate([one.past_covariates for one in samples])
    assert_array_equal(panel.past_covariates, seen)


def test_darts_inference_dataset_gives_the_same_forecast(make, known, monthly):
    known["future_covariates"] = monthly(60, 7.0, 6)
    model = make(n_epochs=1).fit(**known)
    for n in (3, 6):
        dataset = SequentialTorchInferenceDataset(
            **known, n=n, input_chunk_length=12, output_chunk_length=6
        )
        found = model.predict_from_dataset(n, dataset)[0]
        assert_allclose(found.values(), model.predict(n, **known).values(), rtol=1e-6)
        assert found.time_index.equals(model.predict(n, **known).time_index)


# -- micro-batches ------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("likelihood", [None, "quantile"])
def test_micro_batches_give_the_same_gradients(
    make, two, monkeypatch, likelihood, accumulate
):
    recorders = []
    for cells in (2**19, 300):
        monkeypatch.setattr(training, "MICRO_BATCH_CELLS", cells)
        recorders.append(Recorder())
        settings = at_most_steps(4, recorders[-1], accumulate_grad_batches=accumulate)
        optimizer = {"optimizer_cls": torch.optim.SGD, "optimizer_kwargs": {"lr": 0.0}}
        model = make(likelihood=likelihood, **settings, **optimizer).fit(two)
    whole, parts = recorders
    assert training.micro_batch_size(model.network_, parts.batches[0].columns) < 9
    assert len(whole.losses) == (4 if accumulate == 1 else 10)  # of 5 in each epoch
    assert_allclose(parts.losses, whole.losses, rtol=1e-5)
    assert len(whole.gradients) == len(parts.gradients) == 4
    for one, other in zip(whole.gradients, parts.gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_micro_batches_weigh_windows_as_the_whole_batch_does(monthly, monkeypatch):
    """Windows at the end of a series have fewer targets, and count for less."""
    weights = monthly(60, 30.0)
    recorders = []
    for cells in (2**19, 300):
        monkeypatch.setattr(training, "MICRO_BATCH_CELLS", cells)
        recorders.append(Recorder())
        StackedLSTMModel(
            12,
            6,
            hidden_size=8,
            batch_size=52,
            random_state=1,
            **at_most_steps(3, recorders[-1]),
        ).fit(monthly(), sample_weight=weights)
    whole, parts = recorders
    assert_allclose(parts.losses, whole.losses, rtol=1e-4)


def test_the_spread_is_rehearsed_as_the_backend_does(monkeypatch):
    def weights(network, *_):
        return 1 + sum(one.abs().mean().item() for one in network.parameters())

    monkeypatch.setattr(base, "default_steps", lambda _: 2)
    monkeypatch.setattr(calibration, "_needed_factor", weights)
    draws = np.random.default_rng(0).normal(size=(12, 24)).cumsum(1)
    series = [TimeSeries.from_values(values) for values in draws]
    model = VanillaLSTMModel(8, 3, likelihood=QuantileRegression(), random_state=0)
    model.fit(series)
    network = LSTMModule(**model.model.hparams).network
    network.measure(panel_of(*series))
    before = float(network.widening)
    rehearse_spread(
        network,
        backend_windows(model, *series),
        Recipe(batch_size=model.batch_size),
        Generator().manual_seed(model.model.seed),
    )
    assert float(model.network_.widening) == float(network.widening) > before


@pytest.mark.parametrize(
    "settings", [{"n_epochs": 1}, at_most_steps(2), {"likelihood": PoissonLikelihood()}]
)
def test_what_does_not_follow_the_recipe_is_not_rehearsed(settings, monkeypatch):
    monkeypatch.setattr(base, "default_steps", lambda _: 2)
    monkeypatch.setattr(base, "rehearse_spread", None)
    draws = np.random.default_rng(0).poisson(5.0, size=(12, 24)).astype(float)
    series = [TimeSeries.from_values(values) for values in draws]
    VanillaLSTMModel(8, 3, random_state=0, **settings).fit(series)
