"""The kit for a borrowed machine: what is carried there, what is done there, what comes back.

    contents   what a kit holds and says of itself       bundle    making one, at home
    carried    llama.cpp's trees as they travel          parcel    what comes back, and taking it
    programme  which runs, in the order of their value   table     what a visit prints at its end
    machine    whether a borrowed machine will do        workplace what a visit's steps share
    visit      the whole flow on such a machine: read this first

A visit runs `python -m edgemoe_appliance.kit`, started by run.sh, with the few wheels that the kit
carries; there it needs no network, no venv, no container and no pandas.
"""
