"""The measuring process in a container: image, launch, following, results. Parses no figures."""
