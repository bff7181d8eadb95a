"""A shelf of boards: the same study on each of them, from one hub.

In comes the user's `boards.yaml`; out come the verified archives of all boards below one folder,
and the hub's own journal of them. One driver process for each board runs *on the hub*: on a board
runs nothing but the session that is measured, as a scheduler's worker there would cost it some
per cent of a core.

`boards` is the file, `transport` how a command reaches a board, `driver` one session on one board,
`hub` all sessions on all boards, `bisect` the engine build between two where a claim's number
moved.

>>> from edgemoe_appliance.fleet.boards import Board
>>> from edgemoe_appliance.fleet.transport import wrapped
>>> board = Board(transport="ssh", host="jetson@orin-1", target="jetson", work="moe")
>>> wrapped(board, ["true"])[-3:]
['--', 'jetson@orin-1', 'env EDGEMOE_WORK=moe true']

A task is a whole session of one board and never goes to another. What a board sends back is
believed no more than any archive: it is verified before it is kept.
"""
