"""A whole evaluation: what it will do and cost, the steps one after another, what came of it.

`request` resolves what was asked for, `state` looks at what is there already, `estimates` and
`forecast` say beforehand what each step takes, `pipeline` does the steps, `summary` tells what
came of them. An evaluation that was killed anywhere goes on where it was.

>>> from edgemoe_appliance.schema.units import human_duration
>>> human_duration(105)
'1 min 45 s'

Composes the other rooms, and measures, judges and renders nothing itself.
"""
