"""Models with one fault each, and the check of the suite that catches it."""

import copy
import dataclasses
import logging
import random
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from darts import TimeSeries
from darts.utils.serialization import add_safe_globals

from lstm_forecasters.darts import VanillaLSTMModel

__all__ = ["BASES", "MUTANTS"]

MUTANTS = []
"""Every mutant, with the name of a check that fails on it."""


def caught_by(check):
    """Take note of a mutant and of a check that fails on it."""

    def note(mutant):
        MUTANTS.append((mutant, check))
        return mutant

    return note


def of_each(change, series):
    """Return a series, or each of a list, changed by a function; None for None."""
    if series is None:
        return None
    if isinstance(series, TimeSeries):
        return change(series)
    return [of_each(change, one) for one in series]


def with_values(one, change):
    """Return a series with values (T, C) that a function has changed."""
    return one.with_values(change(one.values()))


def rolled(one, n_steps):
    """Return a series with its values at later time steps."""
    return with_values(one, lambda values: np.roll(values, n_steps, axis=0))


def renamed(one, names):
    """Return a series with other names of its components."""
    return one.with_columns_renamed(list(one.components), list(names))


class ReadsOtherData(VanillaLSTMModel):
    """Base of models that read other data than they are given."""

    in_training = True

    def read(self, name, one, is_historical=False):
        """Return what is read as a series or a covariate of that name."""
        return one

    def _build_train_dataset(self, **kwargs):
        if self.in_training:
            kwargs = self._read_all(kwargs)
        return super()._build_train_dataset(**kwargs)

    def _build_inference_dataset(self, **kwargs):
        is_historical = kwargs.get("bounds") is not None
        return super()._build_inference_dataset(**self._read_all(kwargs, is_historical))

    def _read_all(self, given, is_historical=False):
        """Return the arguments of a dataset with what is read of them."""
        names = ("series", "past_covariates", "future_covariates")
        found = {
            name: of_each(
                partial(self.read, name, is_historical=is_historical), given[name]
            )
            for name in names
        }
        return {**given, **found}


class ForecastsOtherValues(VanillaLSTMModel):
    """Base of models that forecast other values than their network."""

    def change(self, values):
        """Return what is forecast for samples or parameters (S, B, n, C or C * K)."""
        return values

    def _predict(self, trainer, *args, **kwargs):
        return super()._predict(_Changing(trainer, self.change), *args, **kwargs)


class _Changing:
    """A trainer whose forecasts are changed by a function."""

    progress_bar_callback = None

    def __init__(self, trainer, change):
        self.trainer = trainer
        self.change = change

    def predict(self, **kwargs):
        return [
            (self.change(values), *labels)
            for values, *labels in self.trainer.predict(**kwargs)
        ]


class LabelsForecastsOtherwise(VanillaLSTMModel):
    """Base of models whose series of forecasts differ from the network's."""

    def label(self, forecast):
        """Return what is returned for a series of forecasts."""
        return forecast

    def predict(self, *args, **kwargs):
        return of_each(self.label, super().predict(*args, **kwargs))


BASES = (ReadsOtherData, ForecastsOtherValues, LabelsForecastsOtherwise)
"""What most mutants are built on; it has no fault yet."""


# -- covariates ---------------------------------------------------------------------


@caught_by("past_covariates_are_learnt")
class IgnoresPastCovariates(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        return 0.0 * one if name == "past_covariates" else one


@caught_by("future_covariates_are_learnt")
class IgnoresFutureCovariates(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        return 0.0 * one if name == "future_covariates" else one


@caught_by("static_covariates_are_learnt")
class IgnoresStaticCovariates(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        static = one.static_covariates
        if name != "series" or static is None:
            return one
        return one.with_static_covariates(0.0 * static)


@caught_by("encoders_are_like_given_covariates")
class IgnoresEncoders(VanillaLSTMModel):
    def initialize_encoders(self, *args, **kwargs):
        self.add_encoders = None
        return super().initialize_encoders(*args, **kwargs)


@caught_by("the_order_of_covariates_does_not_matter")
@caught_by("renamed_covariates_are_refused")
class MatchesFutureCovariatesByPlace(ReadsOtherData):
    in_training = False

    def read(self, name, one, is_historical=False):
        is_meant = name == "future_covariates"
        return renamed(one, self._names[name]) if is_meant else one


@caught_by("the_order_of_past_covariates_does_not_matter")
class MatchesPastCovariatesByPlace(ReadsOtherData):
    in_training = False

    def read(self, name, one, is_historical=False):
        is_meant = name == "past_covariates"
        return renamed(one, self._names[name]) if is_meant else one


@caught_by("the_order_of_static_covariates_does_not_matter")
class MatchesStaticCovariatesByPlace(ReadsOtherData):
    in_training = False

    def read(self, name, one, is_historical=False):
        names, static = self._names["static_covariates"], one.static_covariates
        if name != "series" or static is None:
            return one
        return one.with_static_covariates(static.set_axis(list(names), axis=1))


@caught_by("covariates_that_end_too_early_are_refused")
class RepeatsTheLastCovariate(ReadsOtherData):
    in_training = False

    def read(self, name, one, is_historical=False):
        if name != "future_covariates":
            return one
        return one.append_values(np.tile(one.values()[-1], (20, 1)))


# -- the target ---------------------------------------------------------------------


@caught_by("a_multivariate_target_is_forecast")
class SwapsComponents(ForecastsOtherValues):
    def change(self, values):
        return values.flip(3)


@caught_by("a_list_is_forecast_as_one_by_one")
class SwapsSeries(ForecastsOtherValues):
    def change(self, values):
        return values.flip(1)


@caught_by("a_list_is_forecast_as_one_by_one")
class MixesSeries(ForecastsOtherValues):
    def change(self, values):
        return values + 0.01 * values.mean(1, keepdim=True)


@caught_by("short_series_are_fitted_and_forecast")
class RepeatsTheStartOfShortSeries(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        if len(one) >= self.input_chunk_length + self.output_chunk_length:
            return one
        return one.append_values(one.values()[:1])


@caught_by("gaps_at_the_start_are_like_a_shorter_series")
class FillsGapsAtTheStart(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        return with_values(one, lambda values: pd.DataFrame(values).bfill().to_numpy())


@caught_by("gaps_in_the_window_are_forecast_over")
class ReadsGapsAsZero(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        return with_values(one, np.nan_to_num)


@caught_by("a_series_with_gaps_is_learnt")
class ReadsGapsAsTen(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        return with_values(one, lambda values: np.nan_to_num(values, nan=10.0))


class SpreadsGaps(ForecastsOtherValues):
    """Base of models whose forecasts are NaN where a value is."""

    name = "series"

    def _build_inference_dataset(self, **kwargs):
        given = kwargs[self.name] or []
        self._spread = 0.0 * sum(one.values().sum() for one in given)
        return super()._build_inference_dataset(**kwargs)

    def change(self, values):
        return values + self._spread


@caught_by("gaps_in_the_window_are_forecast_over")
class SpreadsGapsOfSeries(SpreadsGaps):
    name = "series"


@caught_by("gaps_in_past_covariates_are_forecast_over")
class SpreadsGapsOfPastCovariates(SpreadsGaps):
    name = "past_covariates"


@caught_by("gaps_in_future_covariates_are_forecast_over")
class SpreadsGapsOfFutureCovariates(SpreadsGaps):
    name = "future_covariates"


@caught_by("forecasts_carry_the_names_of_the_series")
class NumbersComponents(LabelsForecastsOtherwise):
    def label(self, forecast):
        return renamed(forecast, map(str, range(forecast.n_components)))


@caught_by("the_type_of_the_values_is_kept")
class ForecastsInDoublePrecision(LabelsForecastsOtherwise):
    def label(self, forecast):
        return forecast.astype(np.float64)


@caught_by("time_stamps_are_like_numbers")
class LabelsForecastsOneStepLate(LabelsForecastsOtherwise):
    def label(self, forecast):
        return forecast.shift(1)


@caught_by("time_stamps_are_like_numbers")
class ReadsTimeStamps(LabelsForecastsOtherwise):
    def label(self, forecast):
        return forecast + 1e-3 if forecast.has_datetime_index else forecast


@caught_by("arguments_are_left_unchanged")
class ChangesItsSettings(VanillaLSTMModel):
    def _set_up(self, parameters):
        (parameters["optimizer_kwargs"] or {}).setdefault("eps", 1e-8)
        super()._set_up(parameters)


@caught_by("arguments_are_left_unchanged")
class ChangesItsData(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        one.values(copy=False)[:] += 1.0
        return one


@caught_by("arguments_are_left_unchanged")
class ChangesAListOfCovariates(VanillaLSTMModel):
    def fit(self, series, future_covariates=None, **kwargs):
        super().fit(series, future_covariates=future_covariates, **kwargs)
        future_covariates[0] = future_covariates[0].shift(1)
        return self


# -- horizons -----------------------------------------------------------------------


@caught_by("a_horizon_beyond_the_chunk_is_forecast")
class RepeatsItsChunk(ForecastsOtherValues):
    def change(self, values):
        chunk = values[:, :, : self.output_chunk_length]
        n_chunks = -(-values.shape[2] // chunk.shape[2])
        return chunk.repeat(1, 1, n_chunks, 1)[:, :, : values.shape[2]]


@caught_by("a_longer_horizon_begins_like_a_shorter_one")
class SmoothsTheWholeHorizon(ForecastsOtherValues):
    def change(self, values):
        return 0.99 * values + 0.01 * values.mean(2, keepdim=True)


@caught_by("longer_samples_begin_like_shorter_ones")
class DrawsByTheHorizon(VanillaLSTMModel):
    def _setup_for_predict(self, n, *args, **kwargs):
        setup = super()._setup_for_predict(n, *args, **kwargs)
        setup["model"].pred_seed += n
        return setup


@caught_by("a_shifted_chunk_is_forecast_at_its_time")
@caught_by("the_chunk_after_a_ramp_goes_on_with_it")
@caught_by("a_season_is_forecast_better_than_repeated")
class ForecastsOneStepFurther(ForecastsOtherValues):
    def change(self, values):
        beyond = 2 * values[:, :, -1:] - values[:, :, -2:-1]
        return torch.cat([values[:, :, 1:], beyond], 2)


@caught_by("a_shifted_chunk_is_forecast_at_its_time")
@caught_by("historical_forecasts_with_shift")
class IgnoresItsShiftInLabels(LabelsForecastsOtherwise):
    def label(self, forecast):
        return forecast.shift(-self.output_chunk_shift)


@caught_by("impossible_horizons_are_refused")
class TakesAnyHorizon(VanillaLSTMModel):
    def predict(self, n, *args, **kwargs):
        return super().predict(max(1, int(n)), *args, **kwargs)


@caught_by("forecasts_before_fit_are_refused")
class ForecastsBeforeFit(VanillaLSTMModel):
    def predict(self, n, series=None, **kwargs):
        return super().predict(n, series, **kwargs) if self._fit_called else series[:n]


# -- training -----------------------------------------------------------------------


@caught_by("a_part_without_weight_is_not_learnt")
class IgnoresWeights(VanillaLSTMModel):
    def _build_train_dataset(self, **kwargs):
        return super()._build_train_dataset(**{**kwargs, "sample_weight": None})


@caught_by("validation_is_logged_and_changes_nothing")
class LearnsFromValidation(VanillaLSTMModel):
    def fit(self, series, val_series=None, **kwargs):
        both = series if val_series is None else [series, val_series]
        super().fit(both, val_series=val_series, **kwargs)
        self.training_series = series
        return self


@caught_by("training_goes_on_where_it_ended")
class StartsAnewInEachFit(VanillaLSTMModel):
    def fit(self, *args, **kwargs):
        self.model = None
        return super().fit(*args, **kwargs)


@caught_by("training_goes_on_where_it_ended")
class LearnsInItsFirstFitOnly(VanillaLSTMModel):
    def fit(self, *args, **kwargs):
        return self if self._fit_called else super().fit(*args, **kwargs)


@caught_by("an_interrupted_training_leaves_a_model")
class SwallowsCtrlC(VanillaLSTMModel):
    def fit(self, *args, **kwargs):
        try:
            return super().fit(*args, **kwargs)
        except KeyboardInterrupt:
            return self


# -- historical forecasts -----------------------------------------------------------


@caught_by("historical_forecasts_are_forecasts_of_cut_series")
@caught_by("historical_forecasts_beyond_the_chunk")
@caught_by("historical_forecasts_without_optimisation_are_equal")
class ReadsOneStepLessInHistoricalForecasts(ReadsOtherData):
    in_training = False

    def read(self, name, one, is_historical=False):
        return rolled(one, 1) if name == "series" and is_historical else one


@caught_by("historical_forecasts_with_future_covariates")
class ShiftsFutureCovariatesInHistoricalForecasts(ReadsOtherData):
    in_training = False

    def read(self, name, one, is_historical=False):
        is_meant = name == "future_covariates" and is_historical
        return rolled(one, 1) if is_meant else one


@caught_by("historical_forecasts_with_past_covariates")
class ShiftsPastCovariatesInHistoricalForecasts(ReadsOtherData):
    in_training = False

    def read(self, name, one, is_historical=False):
        is_meant = name == "past_covariates" and is_historical
        return rolled(one, 1) if is_meant else one


@caught_by("historical_forecasts_of_last_points")
class ReturnsFirstPointsForLastOnes(VanillaLSTMModel):
    def historical_forecasts(self, series, forecast_horizon=1, **kwargs):
        if not kwargs["last_points_only"]:
            return super().historical_forecasts(
                series, forecast_horizon=forecast_horizon, **kwargs
            )
        found = super().historical_forecasts(series, forecast_horizon=1, **kwargs)
        return found[: len(found) - forecast_horizon + 1].shift(forecast_horizon - 1)


@caught_by("retraining_is_fitting_on_the_cut_series")
class RetrainsFromTheOldWeights(VanillaLSTMModel):
    def untrained_model(self):
        return self


@caught_by("backtest_and_residuals_are_of_the_historical_forecasts")
class ReturnsResidualsWithTheOtherSign(VanillaLSTMModel):
    def residuals(self, *args, **kwargs):
        return -super().residuals(*args, **kwargs)


@caught_by("what_comes_after_the_cutoff_is_not_read")
@caught_by("only_the_window_is_read")
class CentresOnTheWholeSeries(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        mean = one.values().mean()
        return with_values(one, lambda values: 0.9 * values + 0.1 * mean)


@caught_by("what_comes_after_the_cutoff_is_not_read")
class ReadsOneStepMore(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        return rolled(one, -1) if name == "series" else one


@caught_by("past_covariates_after_the_cutoff_are_not_read")
class ReadsPastCovariatesOneStepMore(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        return rolled(one, -1) if name == "past_covariates" else one


# -- scales -------------------------------------------------------------------------


@caught_by("forecasts_follow_the_scale_of_the_series")
class ReadsSmallSeriesInRawUnits(VanillaLSTMModel):
    def _layout(self, **kwargs):
        return dataclasses.replace(super()._layout(**kwargs), least_scale=1.0)


@caught_by("forecasts_follow_the_scale_of_the_series")
@caught_by("a_high_level_is_forecast")
class ReadsSeriesInSinglePrecision(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        return with_values(one, lambda values: values.astype(np.float32).astype(float))


@caught_by("constants_are_forecast")
class NeedsSomeSpread(ForecastsOtherValues):
    def change(self, values):
        return values + 1e-6


# -- known answers ------------------------------------------------------------------


@caught_by("an_ensemble_by_regression_forecasts")
class LearnsNothing(VanillaLSTMModel):
    def _train(self, trainer, model, datamodule, load_best=False):
        before = copy.deepcopy(model.state_dict())
        super()._train(trainer, model, datamodule, load_best)
        model.load_state_dict(before)


@caught_by("the_step_after_an_autoregression_is_forecast")
class ReadsOneStepLess(ReadsOtherData):
    def read(self, name, one, is_historical=False):
        return rolled(one, 1)


@caught_by("quantiles_are_calibrated")
class CrossesQuantiles(ForecastsOtherValues):
    def change(self, values):
        return values.flip(3)


@caught_by("quantiles_are_calibrated")
class NarrowsQuantiles(ForecastsOtherValues):
    def change(self, values):
        middle = values[..., 1:2]
        return middle + 0.5 * (values - middle)


@caught_by("normal_distributions_are_calibrated")
class ReturnsVariancesForDeviations(ForecastsOtherValues):
    def change(self, values):
        return torch.stack([values[..., 0], values[..., 1] ** 2], 3)


class ChangesSamples(ForecastsOtherValues):
    """Base of models whose samples, but not whose parameters, are changed."""

    def change_samples(self, values):
        """Return what is drawn for samples (S, B, n, C)."""
        return values

    def change(self, values):
        return self.change_samples(values) if len(values) > 1 else values


@caught_by("samples_agree_with_the_parameters")
class WidensSamples(ChangesSamples):
    def change_samples(self, values):
        middle = values.mean(0)
        return middle + 1.2 * (values - middle)


@caught_by("samples_agree_with_the_parameters")
class DrawsNormalisedSamples(ChangesSamples):
    def change_samples(self, values):
        return (values - values.mean(0)) / values.std(0)


# -- persistence --------------------------------------------------------------------


def without_weights(model):
    """Return a model after all weights of its network have been set to zero."""
    for weights in model.network_.parameters():
        weights.data.zero_()
    return model


@caught_by("a_pickle_forecasts")
@caught_by("a_deep_copy_forecasts")
@caught_by("joblib_keeps_a_model")
class LosesItsWeightsInPickles(VanillaLSTMModel):
    def __setstate__(self, state):
        super().__setstate__(state)
        without_weights(self)


@caught_by("a_deep_copy_learns_alone")
class SharesItsNetworkWithCopies(VanillaLSTMModel):
    def __deepcopy__(self, memo):
        twin = copy.copy(self)
        twin.model = self.model
        return twin


@caught_by("a_saved_model_forecasts")
class LosesItsWeightsInFiles(VanillaLSTMModel):
    @staticmethod
    def load(path, **kwargs):
        return without_weights(VanillaLSTMModel.load(path, **kwargs))


@caught_by("a_saved_likelihood_forecasts")
class LosesItsSpreadInFiles(VanillaLSTMModel):
    @staticmethod
    def load(path, **kwargs):
        model = VanillaLSTMModel.load(path, **kwargs)
        model.network_.widening.fill_(1.0)
        return model


@caught_by("weights_are_loaded_into_a_new_model")
class LoadsNoWeights(VanillaLSTMModel):
    def load_weights(self, *args, **kwargs):
        super().load_weights(*args, **kwargs)
        without_weights(self)


@caught_by("checkpoints_are_resumed")
class ForgetsItsEpochsInCheckpoints(VanillaLSTMModel):
    @staticmethod
    def load_from_checkpoint(*args, **kwargs):
        model = VanillaLSTMModel.load_from_checkpoint(*args, **kwargs)
        model.model._epochs_trained = 0
        return model


add_safe_globals([mutant for mutant, _ in MUTANTS])  # darts may build them of files


# -- randomness ---------------------------------------------------------------------


@caught_by("the_global_random_states_are_left_alone")
class SeedsTheGlobalGenerator(VanillaLSTMModel):
    def fit(self, *args, **kwargs):
        torch.manual_seed(0)
        return super().fit(*args, **kwargs)


@caught_by("the_global_random_states_are_left_alone")
class DrawsFromNumpysGlobalGenerator(VanillaLSTMModel):
    def _draw_seed(self):
        np.random.normal()  # noqa: NPY002  # the fault that is meant
        return super()._draw_seed()


@caught_by("the_global_random_states_are_not_read")
class ReadsNumpysGlobalSeed(VanillaLSTMModel):
    def _draw_seed(self):
        return int(np.random.get_state()[1][0])  # noqa: NPY002  # the fault


@caught_by("a_random_state_fixes_the_forecast")
@caught_by("a_grid_search_finds_the_best_settings")
@caught_by("an_ensemble_is_the_mean_of_its_models")
class IgnoresItsRandomState(VanillaLSTMModel):
    def _draw_seed(self):
        return random.SystemRandom().randrange(2**31)


@caught_by("a_random_state_fixes_the_forecast")
class HasOneSeedOnly(VanillaLSTMModel):
    def _draw_seed(self):
        return 0


@caught_by("a_random_state_fixes_the_samples")
class HasOneSeedOfSamplesOnly(VanillaLSTMModel):
    def _setup_for_predict(self, *args, **kwargs):
        setup = super()._setup_for_predict(*args, **kwargs)
        setup["model"].pred_seed = 0
        return setup


@caught_by("a_random_state_fixes_the_samples")
class DrawsOneSampleOnly(ChangesSamples):
    def change_samples(self, values):
        return values[:1].expand_as(values)


# -- surroundings -------------------------------------------------------------------


@caught_by("nothing_is_written_unasked")
class WritesAFile(VanillaLSTMModel):
    def fit(self, *args, **kwargs):
        Path("training.log").touch()
        return super().fit(*args, **kwargs)


@caught_by("nothing_is_printed_or_logged_unasked")
class Prints(VanillaLSTMModel):
    def fit(self, *args, **kwargs):
        sys.stdout.write("training\n")
        return super().fit(*args, **kwargs)


@caught_by("nothing_is_printed_or_logged_unasked")
class Logs(VanillaLSTMModel):
    def fit(self, *args, **kwargs):
        logging.getLogger("lstm_forecasters").info("training")
        return super().fit(*args, **kwargs)
