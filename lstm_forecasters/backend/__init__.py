"""What an LSTM forecaster is and how it learns; knows neither sktime nor darts.

Letters in the shapes of this package: B batch, L lookback, M the longest season,
H horizon, C target channels, P past covariates, Q known-future covariates,
S static covariates, D and E feature columns of history and horizon,
K parameters of the likelihood, I series, N time steps of all series together.
"""
