"""What the figures and verdicts of this appliance mean, as a number that archives carry.

It is raised whenever the definition of a figure, of a table's rows or of a verdict changes, so that
the same journal gives other values than before. An archive with a lower number is not damaged where
its values differ: the differences are what the newer definition says. Words, order of columns, new
tables and new columns change nothing.

`tests/archive/data/values.json.xz` holds the values of a small session under the present number; a
test compares them, and says how to write them anew where the number was raised.

- 1: archives of before they carried the number, and since.
- 2: verdicts in two families, by the conditions as recorded; reduced twins give none; orders on a
  particular device have no stand-in elsewhere.
- 3: bytes of a token by each tensor's own type, S-MBU with and without the output head, S-MFU by
  the parameters that are multiplied with and attention. Claims of several meanings are several
  claims, and their tests as strict as the study's words. Routing shares and ratios of nodes are of
  the nodes that the study counted.
- 4: of a model that is made here, its weights are told with the file, the type, the tool and the
  text that it was made with; what a played meter reads bears no verdict on energy.
"""

from __future__ import annotations

from typing import Final

SEMANTICS: Final = 4
