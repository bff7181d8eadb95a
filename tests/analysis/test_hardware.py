from __future__ import annotations

from edgemoe_appliance.analysis.hardware import describe_hardware
from edgemoe_appliance.analysis.statistics import Absent
from edgemoe_appliance.schema.hardware import (
    Accelerator,
    Clock,
    CoolingState,
    Fan,
    HardwareFacts,
    PowerMode,
    SwapArea,
)

BARE = HardwareFacts(
    device=None,
    firmware=None,
    release=None,
    jetpack=None,
    kernel="6.1 #1",
    system=None,
    power_mode=None,
    clocks=(),
    swap=(),
    fans=(),
    cooling=(),
    temps_c={},
    absent={"device": "no names in /sys", "fans": "no fan seen"},
)
BOARD = HardwareFacts(
    device="A board",
    firmware="36.4.3",
    release="R36.4.3",
    jetpack="6.2",
    kernel="5.15 #1",
    system="Ubuntu",
    power_mode=PowerMode(id=0, name="15W"),
    clocks=(
        *(
            Clock(
                kind="processor",
                name=name,
                governor="schedutil",
                minimum_hz=1_497_600_000,
                maximum_hz=1_497_600_000,
                current_hz=1_497_600_000,
            )
            for name in ("0 1 2 3", "4 5")
        ),
        Clock(
            kind="device",
            name="gpu",
            minimum_hz=306_000_000,
            maximum_hz=612_000_000,
            current_hz=306_000_000,
        ),
        Clock(kind="memory", name="EMC"),
    ),
    swap=(
        SwapArea(
            name="/dev/zram0", size_bytes=2**30, used_bytes=2**29, priority=5, compression="lzo"
        ),
    ),
    fans=(Fan(name="pwmfan 1", pwm=255), Fan(name="tach 1", rpm=5000), Fan(name="mute 1")),
    cooling=(
        CoolingState(kind="pwm-fan", count=1, state=3, maximum=3),
        CoolingState(kind="Processor", count=2, state=1, maximum=10),
        CoolingState(kind="Processor", count=4, state=0, maximum=10),
    ),
    temps_c={"tj": 48.25, "cpu": 47.0},
)


def test_a_board_in_words() -> None:
    assert describe_hardware(BOARD) == {
        "Board": "A board",
        "Firmware": "36.4.3",
        "Jetson Linux": "R36.4.3 (JetPack 6.2)",
        "Kernel": "5.15 #1",
        "Distribution": "Ubuntu",
        "Power mode": "15W (id 0)",
        "Processor clocks": "0 1 2 3, 4 5: 1498 MHz, held, at 1498 MHz, governor schedutil",
        "Device clocks": "gpu: 306 to 612 MHz, at 306 MHz",
        "Memory clock": "EMC: range not told",
        "Swap areas": "/dev/zram0: 0.50 of 1.00 GiB used, priority 5, compressed in memory (lzo)",
        "Fans": "pwmfan 1: driven at 100 %; tach 1: 5000 rpm; mute 1: tells nothing",
        "Cooling devices": "pwm-fan at 3 of 3; Processor at 1 of 10 (2 of them)",
        "Temperatures at the start": "cpu 47.0 °C, tj 48.2 °C",
    }


def test_what_is_missing_keeps_its_reason_and_is_never_empty() -> None:
    found = describe_hardware(BARE)
    assert found["Board"] == Absent(reason="no names in /sys")
    assert found["Fans"] == Absent(reason="no fan seen")
    assert found["Power mode"] == Absent(reason="not readable on this host")
    assert found["Swap areas"] == "none"
    assert all(fact if isinstance(fact, str) else fact.reason for fact in found.values())


def test_unreadable_swap_is_not_no_swap() -> None:
    unread = BARE.model_copy(update={"absent": {"swap": "no /proc"}})
    assert describe_hardware(unread)["Swap areas"] == Absent(reason="no /proc")


def test_devices_that_do_not_cool_are_counted() -> None:
    idle = BOARD.model_copy(update={"cooling": BOARD.cooling[2:]})
    assert describe_hardware(idle)["Cooling devices"] == "none of 4 at work"


def test_release_of_no_known_jetpack_and_mode_without_a_name() -> None:
    odd = BOARD.model_copy(
        update={
            "jetpack": None,
            "power_mode": PowerMode(id=3, name=None),
            "absent": {"jetpack": "none is known"},
        }
    )
    found = describe_hardware(odd)
    assert found["Jetson Linux"] == "R36.4.3 (JetPack not known: none is known)"
    assert found["Power mode"] == "id 3, its name is not known"


def test_a_journal_of_before_has_the_same_facts_all_absent() -> None:
    found = describe_hardware(None)
    assert list(found) == list(describe_hardware(BOARD))
    assert all(isinstance(fact, Absent) for fact in found.values())


def test_a_software_device_is_named_as_such() -> None:
    real = Accelerator(name="Vulkan0", description="V3D 7.1.7", memory_bytes=4 * 2**30)
    driver = Accelerator(name="Vulkan0", description="llvmpipe (LLVM 15)", is_software=True)
    told = {
        name: describe_hardware(BARE.model_copy(update={"accelerators": (one,)}))["Accelerators"]
        for name, one in (("real", real), ("driver", driver))
    }
    assert told["real"] == "Vulkan0: V3D 7.1.7, 4.0 GiB"
    assert "SOFTWARE: the processor computes" in str(told["driver"])


def test_a_target_on_the_processor_has_no_line_of_accelerators() -> None:
    assert "Accelerators" not in describe_hardware(BARE)
    asked = BARE.model_copy(update={"absent": {"accelerators": "the engine finds no device"}})
    assert describe_hardware(asked)["Accelerators"] == Absent(reason="the engine finds no device")
