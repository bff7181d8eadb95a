"""Files as machines show them below `/`, written from what kernels and boards document."""

from __future__ import annotations

from pathlib import Path

JETSON = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
    "proc/swaps": (
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/dev/zram0                              partition\t649240\t\t1024\t\t5\n"
        "/mnt/swapfile                           file\t\t4194300\t\t0\t\t-2\n"
    ),
    "etc/nv_tegra_release": (
        "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"
    ),
    "etc/os-release": 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\nNAME="Ubuntu"\n',
    "etc/nvpmodel.conf": (
        "# FORMAT:\n"
        "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n"
        "< POWER_MODEL ID=1 NAME=25W >\nCPU_ONLINE CORE_0 1\n"
        "< PM_CONFIG DEFAULT=1 >\n"
    ),
    "var/lib/nvpmodel/status": "pmode:0000",
    "sys/class/dmi/id/bios_vendor": "EDK II\n",
    "sys/class/dmi/id/bios_version": "36.4.3-gcid-38968081\n",
    "sys/class/dmi/id/bios_date": "01/08/2025\n",
    "sys/class/dmi/id/product_serial": "never to be recorded\n",
    "sys/block/zram0/comp_algorithm": "lzo [lzo-rle] lz4 zstd\n",
    "sys/devices/system/cpu/cpufreq/policy0/related_cpus": "0 1 2 3\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "schedutil\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq": "1497600\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": "1497600\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1497600\n",
    "sys/class/devfreq/17000000.gpu/governor": "nvhost_podgov\n",
    "sys/class/devfreq/17000000.gpu/min_freq": "306000000\n",
    "sys/class/devfreq/17000000.gpu/max_freq": "612000000\n",
    "sys/class/devfreq/17000000.gpu/cur_freq": "306000000\n",
    "sys/kernel/debug/bpmp/debug/clk/emc/rate": "2133000000\n",
    "sys/kernel/debug/bpmp/debug/clk/emc/min_rate": "204000000\n",
    "sys/kernel/debug/bpmp/debug/clk/emc/max_rate": "2133000000\n",
    "sys/class/hwmon/hwmon0/name": "pwmfan\n",
    "sys/class/hwmon/hwmon0/pwm1": "255\n",
    "sys/class/hwmon/hwmon1/name": "pwm_tach\n",
    "sys/class/hwmon/hwmon1/rpm": "5620\n",
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device0/cur_state": "3\n",
    "sys/class/thermal/cooling_device0/max_state": "3\n",
    "sys/class/thermal/cooling_device1/type": "cpufreq-cpu0\n",
    "sys/class/thermal/cooling_device1/cur_state": "0\n",
    "sys/class/thermal/cooling_device1/max_state": "28\n",
}
LAPTOP = {
    "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n",
    "usr/lib/os-release": "NAME=x\nPRETTY_NAME='Something'\nPRETTY_NAME=Debian 13\n",
    "sys/class/dmi/id/sys_vendor": "Framework\n",
    "sys/class/dmi/id/product_name": "Laptop 13\n",
    "sys/class/dmi/id/product_version": "A6\n",
    "sys/class/dmi/id/bios_version": "03.05\n",
    **{
        f"sys/devices/system/cpu/cpufreq/policy{core}/{name}": f"{value}\n"
        for core in range(2)
        for name, value in (
            ("related_cpus", core),
            ("scaling_governor", "powersave"),
            ("scaling_min_freq", 400000),
            ("scaling_max_freq", 4700000),
        )
    },
    **{
        f"sys/class/thermal/cooling_device{index}/{name}": f"{value}\n"
        for index in range(2)
        for name, value in (("type", "Processor"), ("cur_state", 0), ("max_state", 10))
    },
    "sys/class/hwmon/hwmon3/name": "cros_ec\n",
    "sys/class/hwmon/hwmon3/fan1_input": "0\n",
}


def lay_out(root: Path, files: dict[str, str]) -> Path:
    """Write the files below a root and return it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root
