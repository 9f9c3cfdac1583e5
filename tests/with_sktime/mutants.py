"""Forecasters with one fault each, and the check of the suite that catches it."""

import copy
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from lstm_forecasters.sktime import VanillaLSTMForecaster
from lstm_forecasters.sktime.context import Covariates, read_context
from tests.with_sktime.conformance import (
    by_deepcopy,
    by_file_with_context,
    by_load_from_path,
    by_pickle,
    by_save_in_memory,
    by_save_to_path,
)

__all__ = ["MUTANTS"]

MUTANTS = []
"""Every mutant, with the name of a check that fails on it and the check's case."""


def caught_by(check, **case):
    """Take note of a mutant and of the check that fails on it."""

    def note(mutant):
        MUTANTS.append((mutant, check, case))
        return mutant

    return note


def steps_of(forecaster, fh):
    """Return the steps of a horizon from the cutoff."""
    return fh.to_relative(forecaster.cutoff).to_pandas().to_numpy()


def moved(forecaster, fh, n_steps):
    """Return a horizon some steps later."""
    steps = steps_of(forecaster, fh) + n_steps
    return ForecastingHorizon(steps, is_relative=True)


def with_series(context, change):
    """Return a context whose series' values are changed by a function."""
    series = tuple(
        dataclasses.replace(one, values=change(one.values)) for one in context.series
    )
    return dataclasses.replace(context, series=series)


# -- covariates ---------------------------------------------------------------------


@caught_by("a_known_covariate_improves_the_forecast")
class IgnoresX(VanillaLSTMForecaster):
    def _fit(self, y, X, fh):
        return super()._fit(y, None, fh)


@caught_by("the_effect_of_a_covariate_has_its_sign_and_size")
class IgnoresXAhead(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        return super()._forecast(fh, None if X is None else 0.0 * X, read, **kwargs)


@caught_by("the_effect_of_a_covariate_has_its_sign_and_size")
class ReadsXAheadWithTheOtherSign(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        return super()._forecast(fh, None if X is None else -X, read, **kwargs)


@caught_by("a_past_covariate_improves_the_forecast_of_what_follows_it")
class IgnoresPastCovariates(VanillaLSTMForecaster):
    def _covariates(self, X):
        return Covariates((), super()._covariates(X).future)


@caught_by("a_renamed_column_is_refused")
@caught_by("columns_are_matched_by_name_and_not_by_place")
class MatchesColumnsByPlace(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        names = self._context.covariates.names
        X = X.iloc[:, : len(names)].set_axis(names, axis=1)
        return super()._forecast(fh, X, read, **kwargs)


@caught_by("rows_are_matched_by_time_and_not_by_place")
class MatchesRowsByPlace(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        times = pd.period_range(self.cutoff[0] + 1, periods=len(X), freq="M")
        return super()._forecast(fh, X.set_axis(times), read, **kwargs)


@caught_by("a_missing_covariate_is_masked_and_not_taken_for_what_fills_it")
class ReadsMissingCovariatesAsZero(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        return super()._forecast(fh, X.fillna(0.0), read, **kwargs)


@caught_by("missing_covariates_are_not_read_as_numbers")
class ReadsMissingCovariatesAsASentinel(VanillaLSTMForecaster):
    def _fit(self, y, X, fh):
        return super()._fit(y, X.fillna(-999.0), fh)

    def _forecast(self, fh, X, read, **kwargs):
        return super()._forecast(fh, X.fillna(-999.0), read, **kwargs)


@caught_by("covariates_of_steps_between_may_be_missing_and_are_masked", steps=[4, 11])
class RepeatsXBetweenSteps(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        times = pd.period_range(self.cutoff[0] + 1, X.index[-1], freq="M")
        X = X.reindex(times, method="nearest")
        return super()._forecast(fh, X, read, **kwargs)


@caught_by("covariates_at_any_level_and_scale_are_equal")
class ReadsCovariatesInRawUnits(VanillaLSTMForecaster):
    def _new_model(self, context, fh, generator):
        model = super()._new_model(context, fh, generator)
        model.covariate_means.zero_()
        model.covariate_scales.fill_(1.0)
        return model


@caught_by("covariates_of_each_series_of_a_panel_are_its_own")
class GivesAllSeriesTheXOfTheFirst(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        n_series = len(self._context.series)
        first = X[: len(X) // n_series].to_numpy()
        X = pd.DataFrame(np.tile(first, (n_series, 1)), X.index, X.columns)
        return super()._forecast(fh, X, read, **kwargs)


# -- updates ------------------------------------------------------------------------


@caught_by("update_without_parameters_only_extends_the_context", with_X=False)
class IgnoresUpdates(VanillaLSTMForecaster):
    def _update(self, y, X=None, update_params=True):
        return self


@caught_by("update_without_parameters_only_extends_the_context", with_X=True)
class ForgetsTheContextInUpdates(VanillaLSTMForecaster):
    def _update(self, y, X=None, update_params=True):
        old = self._context
        super()._update(y, X, update_params)
        new = read_context(y, X, old.covariates, old)
        return self._adopt(self.network_, new)


@caught_by("update_without_parameters_only_extends_the_context", with_X=False)
class AlwaysLearnsInUpdates(VanillaLSTMForecaster):
    def _update(self, y, X=None, update_params=True):
        return super()._update(y, X)


@caught_by("update_with_parameters_trains_on_a_little")
class LearnsNothingInUpdates(VanillaLSTMForecaster):
    def _update(self, y, X=None, update_params=True):
        return super()._update(y, X, update_params=False)


@caught_by("update_with_parameters_trains_on_a_little")
class LearnsInUpdatesAsInFits(VanillaLSTMForecaster):
    def _recipe_of_more(self, n_steps):
        return self._recipe()


@caught_by("update_trains_on_the_new_data")
class LearnsFromOldDataInUpdates(VanillaLSTMForecaster):
    def _update(self, y, X=None, update_params=True):
        if update_params:
            recipe = self._recipe_of_more(3)
            model = copy.deepcopy(self.network_)
            self._train(model, self._context, recipe, self._generator())
        return super()._update(y, X, update_params=False)


@caught_by("update_is_reproducible_and_leaves_copies_alone")
class UpdatesWithoutTheSeed(VanillaLSTMForecaster):
    def _generator(self):
        generator = super()._generator()
        if hasattr(self, "network_"):
            generator.seed()
        return generator


@caught_by("newer_values_replace_older_ones_where_they_overlap")
class KeepsOldValuesInUpdates(VanillaLSTMForecaster):
    def _update(self, y, X=None, update_params=True):
        known = self._context
        newer = y[known.grid.positions(y.index) > known.cutoffs[0]]
        return super()._update(newer, X, update_params) if len(newer) else self


@caught_by("months_between_fit_and_update_are_masked", with_X=False)
class FillsWhatLiesBeforeAnUpdate(VanillaLSTMForecaster):
    def _update(self, y, X=None, update_params=True):
        end = self._context.grid.index(self._context.cutoffs)[0]
        whole = y.reindex(pd.period_range(end + 1, y.index[-1], freq="M"))
        whole[whole.index < y.index[0]] = y.iloc[0, 0]
        return super()._update(whole, X, update_params)


@caught_by("update_predict_equals_updates_by_hand")
class RollsOneStepLate(VanillaLSTMForecaster):
    def update_predict(self, *args, **kwargs):
        forecast = super().update_predict(*args, **kwargs)
        return forecast.set_axis(forecast.index + 1)


@caught_by("refit_starts_anew")
class RefitsFromTheOldWeights(VanillaLSTMForecaster):
    def fit(self, y, X=None, fh=None):
        old = getattr(self, "network_", None)
        super().fit(y, X, fh)
        if old is None:
            return self
        return self._train(old, self._context, self._recipe(), self._generator())


@caught_by("columns_of_an_update_are_matched_by_name")
class MatchesColumnsOfUpdatesByPlace(VanillaLSTMForecaster):
    def _update(self, y, X=None, update_params=True):
        y = y.set_axis(self._context.columns, axis=1)
        return super()._update(y, X, update_params)


# -- pretraining --------------------------------------------------------------------


@caught_by("fit_leaves_the_pretrained_network_as_it_was", fine_tune_steps=5)
class FineTunesInPlace(VanillaLSTMForecaster):
    def _fit_pretrained(self, y, X):
        super()._fit_pretrained(y, X)
        self.pretrained_network_.load_state_dict(self.network_.state_dict())
        return self


@caught_by("fit_leaves_the_pretrained_network_as_it_was", fine_tune_steps=0)
class UpdatesThePretrainedNetwork(VanillaLSTMForecaster):
    def _update(self, y, X=None, update_params=True):
        super()._update(y, X, update_params)
        self.pretrained_network_.load_state_dict(self.network_.state_dict())
        return self


@caught_by("fit_after_pretraining_takes_the_series_as_context_only")
class IgnoresItsPretraining(VanillaLSTMForecaster):
    def _fit_pretrained(self, y, X):
        pretrained = self.pretrained_network_
        del self.pretrained_network_
        self._fit(y, X, None)
        self.pretrained_network_ = pretrained
        return self


@caught_by("pretraining_survives_copies", copied="clone")
class DoesNotRegisterThePretrainedNetwork(VanillaLSTMForecaster):
    def pretrain(self, y, X=None, fh=None):
        super().pretrain(y, X, fh)
        self._pretrained_attrs = []
        return self


# -- leakage ------------------------------------------------------------------------


@caught_by("forecasts_depend_on_nothing_after_the_cutoff")
class MeasuresCovariatesAfterTheCutoff(VanillaLSTMForecaster):
    def _fit(self, y, X, fh):
        self._means = torch.from_numpy(X.mean().to_numpy(copy=True))
        return super()._fit(y, X, fh)

    def _new_model(self, context, fh, generator):
        model = super()._new_model(context, fh, generator)
        model.covariate_means.copy_(self._means)
        return model


@caught_by("known_future_covariates_beyond_the_steps_asked_for_change_nothing")
class CentresXOnWhatPredictIsGiven(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        return super()._forecast(fh, X - X.mean(), read, **kwargs)


@caught_by("past_covariates_after_the_cutoff_change_nothing_and_are_not_needed")
class ReadsPastCovariatesAfterTheCutoff(VanillaLSTMForecaster):
    def _predict(self, fh, X=None):
        later = 0.0 if X is None else X.to_numpy()[-1].mean()
        return super()._predict(fh, X) + later


@caught_by(
    "in_sample_forecasts_depend_on_the_data_before_each_point_only", likelihood=None
)
class ReadsTheValueThatIsToBeForecast(VanillaLSTMForecaster):
    def _predict(self, fh, X=None):
        forecast, steps = super()._predict(fh, X), steps_of(self, fh)
        truth = self._context.series[0].values[steps[steps <= 0] - 1, 0]
        forecast[steps <= 0] = (forecast[steps <= 0] + truth) / 2
        return forecast


@caught_by(
    "in_sample_forecasts_depend_on_the_data_before_each_point_only", likelihood="normal"
)
class CentresInSampleForecastsOnTheWholeSeries(VanillaLSTMForecaster):
    def _predict(self, fh, X=None):
        mean = np.nanmean(self._context.series[0].values)
        return 0.9 * super()._predict(fh, X) + 0.1 * mean


@caught_by("in_sample_forecasts_are_one_step_forecasts")
class ForecastsTheStepBeforeInSample(VanillaLSTMForecaster):
    def _predict(self, fh, X=None):
        forecast = super()._predict(fh, X)
        if steps_of(self, fh).max() > 0:
            return forecast
        return super()._predict(moved(self, fh, -1), X).set_axis(forecast.index)


# -- level and scale ----------------------------------------------------------------


@caught_by(
    "forecasts_are_equal_at_any_level_and_scale",
    likelihood="normal",
    factor=1e-6,
    shift=0.0,
)
class ReadsSmallSeriesInRawUnits(VanillaLSTMForecaster):
    def _new_model(self, context, fh, generator):
        model = super()._new_model(context, fh, generator)
        model.layout = dataclasses.replace(model.layout, least_scale=1.0)
        return model


@caught_by(
    "forecasts_are_equal_at_any_level_and_scale",
    likelihood="quantile",
    factor=1.0,
    shift=1e6,
)
class ReadsSeriesInSinglePrecision(VanillaLSTMForecaster):
    def _fit(self, y, X, fh):
        return super()._fit(y.astype(np.float32), X, fh)


@caught_by("a_constant_series_is_forecast_as_constant")
class NeedsSomeSpread(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        index, values = super()._forecast(fh, X, read, **kwargs)
        return index, values + 1e-6


# -- horizons -----------------------------------------------------------------------


@caught_by(
    "a_step_is_forecast_alike_whatever_other_steps_are_asked_for",
    segment_length=1,
    with_X=False,
)
class SmoothsOverTheStepsAskedFor(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        index, values = super()._forecast(fh, X, read, **kwargs)
        values[:, 1:] = (values[:, 1:] + values[:, :-1]) / 2
        return index, values


@caught_by("steps_are_labelled_as_what_they_are")
class ForecastsOneStepFurther(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        index, _ = super()._forecast(fh, X, read, **kwargs)
        _, values = super()._forecast(moved(self, fh, 1), X, read, **kwargs)
        return index, values


@caught_by("steps_are_labelled_as_what_they_are")
class LabelsStepsOneEarly(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        index, values = super()._forecast(fh, X, read, **kwargs)
        return index - 1, values


@caught_by("steps_are_labelled_as_what_they_are")
class ForecastsConsecutiveSteps(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        index, _ = super()._forecast(fh, X, read, **kwargs)
        first = steps_of(self, fh)[0]
        steps = np.arange(first, first + len(index))
        consecutive = ForecastingHorizon(steps, is_relative=True)
        return index, super()._forecast(consecutive, X, read, **kwargs)[1]


@caught_by("absolute_and_relative_horizons_agree")
class CountsAbsoluteTimesFromTheStepAfterTheCutoff(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        if not fh.is_relative:
            fh = moved(self, fh, -1)
        return super()._forecast(fh, X, read, **kwargs)


# -- distributions ------------------------------------------------------------------


@caught_by("quantiles_increase_with_their_level", likelihood="quantile")
class CrossesQuantiles(VanillaLSTMForecaster):
    def _predict_quantiles(self, fh, X, alpha):
        quantiles = super()._predict_quantiles(fh, X, alpha)
        return quantiles.iloc[:, ::-1].set_axis(quantiles.columns, axis=1)


@caught_by("intervals_cover_what_they_say")
class NarrowsQuantiles(VanillaLSTMForecaster):
    def _predict_quantiles(self, fh, X, alpha):
        quantiles = super()._predict_quantiles(fh, X, alpha)
        middle = self._predict(fh, X).to_numpy().reshape(-1, 1)
        return middle + 0.4 * (quantiles - middle)


@caught_by("intervals_cover_what_they_say")
class WidensQuantiles(VanillaLSTMForecaster):
    def _predict_quantiles(self, fh, X, alpha):
        quantiles = super()._predict_quantiles(fh, X, alpha)
        middle = self._predict(fh, X).to_numpy().reshape(-1, 1)
        return middle + 2 * (quantiles - middle)


@caught_by(
    "intervals_are_the_quantiles_at_their_ends",
    likelihood="quantile",
    fh=[-9, 0, 1, 4],
)
class TakesCoverageForALevel(VanillaLSTMForecaster):
    def _predict_interval(self, fh, X, coverage):
        inner = [2 * one - 1 for one in coverage]
        right, wrong = (
            super(TakesCoverageForALevel, self)._predict_interval(
                fh=fh, X=X, coverage=one
            )
            for one in (coverage, inner)
        )
        return wrong.set_axis(right.columns, axis=1)


@caught_by("the_median_is_the_point_forecast", likelihood="quantile")
class ForecastsTheMiddleOfAnInterval(VanillaLSTMForecaster):
    def _predict(self, fh, X=None):
        ends = self._predict_quantiles(fh, X, [0.05, 0.9])
        middle = ends.mean(axis=1).to_numpy()
        return pd.DataFrame({self._context.columns[0]: middle}, index=ends.index)


@caught_by(
    "distributions_agree_with_quantiles_variance_and_points",
    likelihood="normal",
    fh=[-9, 0, 1, 4],
)
class ReturnsDeviationsForVariances(VanillaLSTMForecaster):
    def _predict_var(self, fh, X=None, cov=False):
        return super()._predict_var(fh=fh, X=X, cov=cov) ** 0.5


@caught_by(
    "distributions_agree_with_quantiles_variance_and_points",
    likelihood="normal",
    fh=[-9, 0, 1, 4],
)
class TakesVariancesForDeviations(VanillaLSTMForecaster):
    def _predict_proba(self, fh, X, marginal=True):
        found = super()._predict_proba(fh, X, marginal)
        squared = np.square(found.sigma)
        return type(found)(found.mu, squared, index=found.index, columns=found.columns)


# -- several columns, panels --------------------------------------------------------


@caught_by("independent_channels_are_forecast_as_if_they_were_alone")
class SwapsColumns(VanillaLSTMForecaster):
    def _predict(self, fh, X=None):
        forecast = super()._predict(fh, X)
        return forecast.iloc[:, ::-1].set_axis(forecast.columns, axis=1)


@caught_by("independent_channels_are_forecast_as_if_they_were_alone")
class MixesColumns(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        index, values = super()._forecast(fh, X, read, **kwargs)
        return index, values + 0.01 * values.mean(axis=2, keepdims=True)


@caught_by("names_of_columns_and_index_stay")
class NumbersColumns(VanillaLSTMForecaster):
    def _predict(self, fh, X=None):
        forecast = super()._predict(fh, X)
        return forecast.set_axis(range(forecast.shape[1]), axis=1)


@caught_by("a_hierarchy_is_forecast_series_by_series")
@caught_by("series_keep_their_order")
class SwapsSeries(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        index, values = super()._forecast(fh, X, read, **kwargs)
        return index, values[::-1]


@caught_by("each_series_is_forecast_from_its_own_cutoff")
class ForecastsOneSeriesAStepFurther(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        index, values = super()._forecast(fh, X, read, **kwargs)
        if len(values) > 1:
            further = super()._forecast(moved(self, fh, 1), X, read, **kwargs)[1]
            values[1] = further[1]
        return index, values


@caught_by("one_network_learns_from_all_series")
class LearnsFromTheLastSeriesAlone(VanillaLSTMForecaster):
    def _train(self, model, context, *args, **kwargs):
        last = dataclasses.replace(context, series=context.series[-1:])
        super()._train(model, last, *args, **kwargs)
        return self._adopt(model, context)


@caught_by("relative_steps_follow_each_cutoff")
class SharesTheLastCutoff(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        index, values = super()._forecast(fh, X, read, **kwargs)
        steps = np.tile(fh.to_pandas(), len(values))
        times = self._context.grid.index(self._context.cutoffs.max() + steps)
        keys = index.get_level_values(0)
        return pd.MultiIndex.from_arrays([keys, times], names=index.names), values


@caught_by("absolute_times_are_the_same_for_all_series")
class CountsAbsoluteTimesFromTheFirstCutoff(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        index, values = super()._forecast(fh, X, read, **kwargs)
        if len(values) > 1:
            first = self._context.cutoffs[0]
            steps = self._context.grid.positions(fh.to_pandas()) - first
            relative = ForecastingHorizon(steps, is_relative=True)
            values = super()._forecast(relative, X, read, **kwargs)[1]
        return index, values


@caught_by("forecasts_of_a_series_do_not_depend_on_its_neighbours")
class MixesSeries(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        index, values = super()._forecast(fh, X, read, **kwargs)
        return index, values + 0.01 * values.mean(axis=0)


@caught_by("distributions_of_a_panel_stand_in_the_rows_of_the_forecast")
class SwapsSeriesInQuantiles(VanillaLSTMForecaster):
    def _predict_quantiles(self, fh, X, alpha):
        quantiles = super()._predict_quantiles(fh, X, alpha)
        return quantiles.iloc[::-1].set_axis(quantiles.index)


@caught_by("update_moves_each_cutoff_by_itself")
class IgnoresNewSeries(VanillaLSTMForecaster):
    def _update(self, y, X=None, update_params=True):
        known = y.index.droplevel(-1).isin(self._context.instances)
        return super()._update(y[known], X, update_params)


# -- missing values -----------------------------------------------------------------


@caught_by("what_is_missing_is_no_target_and_no_zero")
class ReadsGapsAsZero(VanillaLSTMForecaster):
    def _fit(self, y, X, fh):
        return super()._fit(y.fillna(0.0), X, fh)


@caught_by("a_gap_is_masked_and_not_taken_for_what_fills_it")
class FillsGaps(VanillaLSTMForecaster):
    def _update(self, y, X=None, update_params=True):
        return super()._update(y.ffill(), X, update_params)


@caught_by(
    "forecasts_are_close_to_those_of_the_complete_series",
    where="scattered",
    likelihood=None,
)
class SpreadsGaps(VanillaLSTMForecaster):
    def _predict(self, fh, X=None):
        return super()._predict(fh, X) + 0.0 * self._context.series[0].values.sum()


@caught_by("a_series_shorter_than_the_window_is_forecast", n_steps=3)
class PadsShortSeriesWithZeros(VanillaLSTMForecaster):
    def _fit(self, y, X, fh):
        start = y.index[-1] - self.window_length
        whole = pd.period_range(start, y.index[-1], freq="M")
        return super()._fit(y.reindex(whole, fill_value=0.0), X, fh)


@caught_by("leading_missing_values_equal_a_later_start")
class FillsWhatLiesBeforeASeries(VanillaLSTMForecaster):
    def _fit(self, y, X, fh):
        return super()._fit(y.bfill(), X, fh)


@caught_by("one_series_of_a_panel_with_gaps_leaves_the_others_alone")
class FillsGapsFromOtherSeries(VanillaLSTMForecaster):
    def _forecast(self, fh, X, read, **kwargs):
        index, values = super()._forecast(fh, X, read, **kwargs)
        n_gaps = sum(np.isnan(one.values).sum() for one in self._context.series)
        return index, values + n_gaps


# -- randomness ---------------------------------------------------------------------


@caught_by("ensembles_have_the_seed_of_one_network")
@caught_by("the_same_seed_gives_the_same_forecast")
class IgnoresTheSeed(VanillaLSTMForecaster):
    def _generator(self):
        generator = super()._generator()
        generator.seed()
        return generator


@caught_by("the_same_seed_gives_the_same_forecast")
class HasOneSeedOnly(VanillaLSTMForecaster):
    def _generator(self):
        return super()._generator().manual_seed(0)


@caught_by("a_random_state_is_a_seed_as_well")
class IgnoresRandomStates(VanillaLSTMForecaster):
    def _generator(self):
        if isinstance(self.random_state, np.random.RandomState):
            return torch.Generator().manual_seed(0)
        return super()._generator()


@caught_by("global_random_states_are_neither_read_nor_written")
class ReadsTheGlobalSeed(VanillaLSTMForecaster):
    def _generator(self):
        return torch.Generator().manual_seed(torch.initial_seed())


@caught_by("global_random_states_are_neither_read_nor_written")
class SeedsTheGlobalGenerator(VanillaLSTMForecaster):
    def _fit(self, y, X, fh):
        torch.manual_seed(self.random_state)
        return super()._fit(y, X, fh)


@caught_by("global_random_states_are_neither_read_nor_written")
class DrawsFromNumpysGlobalGenerator(VanillaLSTMForecaster):
    def _fit(self, y, X, fh):
        np.random.normal()  # noqa: NPY002  # the fault that is meant
        return super()._fit(y, X, fh)


@caught_by("no_seed_leaves_global_random_states_alone")
class DrawsItsSeedGlobally(VanillaLSTMForecaster):
    def _generator(self):
        if self.random_state is not None:
            return super()._generator()
        return torch.Generator().manual_seed(int(torch.randint(2**31, (1,))))


# -- persistence --------------------------------------------------------------------


@caught_by("every_way_gives_the_forecaster_back", way=by_pickle, likelihood=None)
class LosesItsWeightsInPickles(VanillaLSTMForecaster):
    def __getstate__(self):
        state = dict(super().__getstate__())
        if "network_" in state:
            state["network_"] = copy.deepcopy(self.network_)
            for weights in state["network_"].parameters():
                weights.data.zero_()
        return state


@caught_by("every_way_gives_the_forecaster_back", way=by_deepcopy, likelihood=None)
class SharesItsNetworkWithCopies(VanillaLSTMForecaster):
    def __deepcopy__(self, memo):
        twin = self.clone()
        twin.__dict__.update(self.__dict__)
        return twin

    def _update(self, y, X=None, update_params=True):
        before = self.network_
        super()._update(y, X, update_params)
        before.load_state_dict(self.network_.state_dict())
        return self


@caught_by(
    "every_way_gives_the_forecaster_back", way=by_save_in_memory, likelihood=None
)
class LosesTheLevelInFiles(VanillaLSTMForecaster):
    @classmethod
    def _from_archive(cls, archive):
        forecaster = super()._from_archive(archive)
        context = with_series(forecaster._context, lambda one: one - one.mean())
        return forecaster._adopt(forecaster.network_, context)


@caught_by(
    "every_way_gives_the_forecaster_back", way=by_load_from_path, likelihood="quantile"
)
class RoundsTheContextInFiles(VanillaLSTMForecaster):
    @classmethod
    def _from_archive(cls, archive):
        forecaster = super()._from_archive(archive)
        context = with_series(forecaster._context, lambda one: one.round(3))
        return forecaster._adopt(forecaster.network_, context)


@caught_by(
    "every_way_gives_the_forecaster_back", way=by_file_with_context, likelihood=None
)
class LosesTheOldContextInFiles(VanillaLSTMForecaster):
    @classmethod
    def _from_archive(cls, archive):
        forecaster = super()._from_archive(archive)

        def recent(values):
            return np.where(np.arange(len(values))[:, None] < 45, np.nan, values)

        context = with_series(forecaster._context, recent)
        return forecaster._adopt(forecaster.network_, context)


@caught_by("covariates_and_parameters_come_along", way=by_save_to_path)
class LosesCovariatesInFiles(VanillaLSTMForecaster):
    @classmethod
    def _from_archive(cls, archive):
        forecaster = super()._from_archive(archive)
        for one in forecaster._context.series:
            one.covariates.fill(np.nan)
        return forecaster._adopt(forecaster.network_, forecaster._context)


@caught_by("ensembles_and_their_widening_come_along", way=by_load_from_path)
class LosesItsSpreadInFiles(VanillaLSTMForecaster):
    @classmethod
    def _from_archive(cls, archive):
        forecaster = super()._from_archive(archive)
        forecaster.network_.widening.fill_(1.0)
        return forecaster


@caught_by("several_columns_come_along", way=by_save_to_path, joint=False)
class SwapsColumnsInFiles(VanillaLSTMForecaster):
    @classmethod
    def _from_archive(cls, archive):
        forecaster = super()._from_archive(archive)
        context = with_series(forecaster._context, lambda one: one[:, ::-1].copy())
        return forecaster._adopt(forecaster.network_, context)


@caught_by("panels_come_along", way=by_file_with_context)
class SwapsSeriesInFiles(VanillaLSTMForecaster):
    @classmethod
    def _from_archive(cls, archive):
        forecaster = super()._from_archive(archive)
        context = forecaster._context
        context = dataclasses.replace(context, series=context.series[::-1])
        return forecaster._adopt(forecaster.network_, context)


@caught_by("a_pretrained_network_comes_along", way=by_save_to_path)
class LosesThePretrainedNetworkInFiles(VanillaLSTMForecaster):
    @classmethod
    def _from_archive(cls, archive):
        forecaster = super()._from_archive(archive)
        forecaster._pretrained_attrs = []
        del forecaster.pretrained_network_
        return forecaster


# -- surroundings -------------------------------------------------------------------


@caught_by("predict_writes_nothing")
class NotesItsForecasts(VanillaLSTMForecaster):
    def _predict(self, fh, X=None):
        self.last_forecast_ = super()._predict(fh, X)
        return self.last_forecast_


@caught_by("predict_writes_nothing")
class FeedsItsForecastsBackIntoTheContext(VanillaLSTMForecaster):
    def _predict(self, fh, X=None):
        forecast = super()._predict(fh, X)
        self._context.series[0].values[0] = forecast.to_numpy().flat[0]
        return forecast


@caught_by("data_that_was_passed_is_neither_changed_nor_kept_by_reference")
class FillsItsInputInPlace(VanillaLSTMForecaster):
    def fit(self, y, X=None, fh=None):
        X.fillna(0.0, inplace=True)
        return super().fit(y, X, fh)


@caught_by("data_that_was_passed_is_neither_changed_nor_kept_by_reference")
class KeepsItsInputByReference(VanillaLSTMForecaster):
    def fit(self, y, X=None, fh=None):
        super().fit(y, X, fh)
        self._given = y
        return self

    def _predict(self, fh, X=None):
        return super()._predict(fh, X) + self._given.to_numpy()[-1]


@caught_by("silent_by_default_and_no_files")
class Prints(VanillaLSTMForecaster):
    def _fit(self, y, X, fh):
        sys.stdout.write("training\n")
        return super()._fit(y, X, fh)


@caught_by("silent_by_default_and_no_files")
class WritesAFile(VanillaLSTMForecaster):
    def _fit(self, y, X, fh):
        Path("training.log").touch()
        return super()._fit(y, X, fh)


@caught_by("a_refused_call_leaves_the_forecaster_as_it_was", refused="points without X")
class NotesTheHorizonOfARefusedForecast(VanillaLSTMForecaster):
    predict = BaseForecaster.predict


@caught_by(
    "a_refused_call_leaves_the_forecaster_as_it_was", refused="an update without X"
)
class MovesItsCutoffInARefusedUpdate(VanillaLSTMForecaster):
    update = BaseForecaster.update


@caught_by(
    "a_refused_call_leaves_the_forecaster_as_it_was",
    refused="a forecast with too few X after an update",
)
class KeepsTheUpdateOfARefusedForecast(VanillaLSTMForecaster):
    update_predict_single = BaseForecaster.update_predict_single


@caught_by("update_and_predict_in_one_are_those_in_two", update_params=False)
class AnswersWithAFrame(VanillaLSTMForecaster):
    _update_predict_single = BaseForecaster._update_predict_single
