"""Configurations of `accelerate launch` for one machine with eight GPUs; recipes/engines/ holds them as files."""

from pathlib import Path
from typing import Any

import yaml

from passatn.evaluate.atomic import write_atomically

_COMMON: dict[str, Any] = {
    "compute_environment": "LOCAL_MACHINE",
    "machine_rank": 0,
    "num_machines": 1,
    "main_training_function": "main",
    "mixed_precision": "bf16",
    "use_cpu": False,
}


def engine_config(engine: str, num_processes: int = 8) -> dict[str, Any]:
    """The configuration of fsdp2, zero2 or zero3; ValueError for another name."""
    common = _COMMON | {"num_processes": num_processes}
    if engine == "fsdp2":
        fsdp = {
            "fsdp_version": 2,
            "fsdp_reshard_after_forward": True,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_cpu_ram_efficient_loading": True,
            "fsdp_state_dict_type": "FULL_STATE_DICT",
            "fsdp_activation_checkpointing": False,
            "fsdp_offload_params": False,
        }
        return common | {"distributed_type": "FSDP", "fsdp_config": fsdp}
    if engine not in ("zero2", "zero3"):
        raise ValueError(f"engine must be fsdp2, zero2 or zero3, got {engine!r}")
    stage = int(engine[-1])
    deepspeed: dict[str, Any] = {
        "zero_stage": stage,
        "offload_optimizer_device": "none",
        "offload_param_device": "none",
        "gradient_clipping": 1.0,
        "deepspeed_multinode_launcher": "standard",
    }
    if stage == 3:
        deepspeed |= {"zero3_init_flag": True, "zero3_save_16bit_model": True}
    return common | {"distributed_type": "DEEPSPEED", "deepspeed_config": deepspeed}


def write_engine(engine: str, folder: Path) -> Path:
    """The configuration as a file of that folder."""
    text = f"# accelerate launch --config_file {engine}.yaml -m passatn train …\n"
    text += yaml.safe_dump(engine_config(engine), sort_keys=False)
    return write_atomically(folder / f"{engine}.yaml", text.encode())
