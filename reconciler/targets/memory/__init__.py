"""A cluster and a gateway in memory, in virtual time: the fake that ships in the package. It keeps the same contract as the real ones
(one suite tests them all), so plans, guards and whole histories can be tried without a server."""
