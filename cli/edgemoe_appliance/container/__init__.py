"""The measuring process in a container: image, launch, following, results. Parses no figures.

`context` and `image` build an image of which every byte is known, `export` and `imagelock` say
what it is; `launch` decides how it runs, as a value that tests can look at; `launcher` starts it,
or finds one that outlived the program that started it, and brings its results home.

>>> from edgemoe_appliance.container.launch import Exchange, choose_user
>>> choose_user(Exchange.BIND, 1000, 1000).uid
1000

What a container wrote is foreign: see `docs/threat-model.md`.
"""
