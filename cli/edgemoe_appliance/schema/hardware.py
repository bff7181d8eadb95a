"""The hardware of a measuring period as found: device, firmware, power mode, clocks, cooling.

A part that this machine does not show is None or empty, and `absent` says why.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from edgemoe_appliance.schema.base import Count, Frozen, Int64

# Where a container is shown the board's device-tree model: engines hide /sys/firmware from it.
DEVICE_TREE_MODEL: Final = "/etc/edgemoe/device-tree-model"
# Where nvpmodel keeps the id of the chosen mode, and the board's modes by id and name.
POWER_MODE_FILE: Final = "/var/lib/nvpmodel/status"
POWER_MODES_FILE: Final = "/etc/nvpmodel.conf"


class PowerMode(Frozen):
    """A power mode of nvpmodel: ids differ between firmwares, so the name is what counts."""

    id: Count
    name: str | None


class Clock(Frozen):
    """One clock in Hz: the range it may move in, and where it was; None where not told.

    `name` is the numbers of the processors that share it, or the device.
    """

    kind: Literal["processor", "device", "memory"]
    name: str
    governor: str | None = None
    minimum_hz: Count | None = None
    maximum_hz: Count | None = None
    current_hz: Count | None = None

    @property
    def is_held(self) -> bool:
        """Return whether it has no room to move, as after jetson_clocks."""
        return self.minimum_hz is not None and self.minimum_hz == self.maximum_hz


class SwapArea(Frozen):
    """One swap area; `compression` is the algorithm of one that lies compressed in memory."""

    name: str
    size_bytes: Count
    used_bytes: Count
    priority: Int64
    compression: str | None = None


class Fan(Frozen):
    """A fan: what it is told (`pwm`, 0 to 255) and how fast it turned; None where not told."""

    name: str
    pwm: Count | None = None
    rpm: Count | None = None


class CoolingState(Frozen):
    """Cooling devices of one kind in one state: 0 is not cooling, `maximum` is all they can."""

    kind: str
    count: Count
    state: Int64
    maximum: Int64


class Accelerator(Frozen):
    """A device that the engine computes on beside the processor, by the engine's own words.

    `is_software` says that its driver computes on the processor: a stand-in, not a device.
    """

    name: str
    description: str
    memory_bytes: Count | None = None
    is_software: bool = False


class HardwareFacts(Frozen):
    """What the machine said of itself when a measuring period began.

    `device` is the device tree's model or DMI's product, `release` that of Jetson Linux, `system`
    the distribution as the measuring process sees it: inside a container, the image's.
    """

    device: str | None
    firmware: str | None
    release: str | None
    jetpack: str | None
    kernel: str
    system: str | None
    power_mode: PowerMode | None
    clocks: tuple[Clock, ...]
    swap: tuple[SwapArea, ...]
    fans: tuple[Fan, ...]
    cooling: tuple[CoolingState, ...]
    temps_c: dict[str, float]
    accelerators: tuple[Accelerator, ...] = ()
    absent: dict[str, str] = Field(default_factory=dict)

    @property
    def memory_clock_hz(self) -> int | None:
        """Return the highest clock that the memory may reach, None where it was not told."""
        found = [one.maximum_hz or one.current_hz for one in self.clocks if one.kind == "memory"]
        return max((hz for hz in found if hz), default=None)

    @property
    def software_device(self) -> str | None:
        """Return the driver that stands in for a device, None where a device computes."""
        found = [one.description for one in self.accelerators if one.is_software]
        return found[0] if found else None
