"""The kit for a borrowed machine: what is carried there, what is done there, what comes back.

Out go wheels, llama.cpp's sources and run.sh in one tar (`bundle`, `carried`, `contents`); back
comes another with sessions, logs and facts, which may be anybody's (`parcel`). In between lies a
visit, `python -m edgemoe_appliance.kit`: read `visit` first, then `workplace` (what its steps
share), `machine` (whether it will do), `programme` (what is measured, in the order of its value)
and `table` (what it prints at its end).

>>> from edgemoe_appliance.kit.parcel import is_parcel_name
>>> is_parcel_name("sessions/kit-cuda/runs.jsonl"), is_parcel_name("sessions/../.ssh/id")
(True, False)

A visit needs no network, no venv, no container and no pandas, and changes nothing on the machine
outside of its two folders.
"""
