"""A module beside the handler, as templates of workers have it."""

INPUT_SCHEMA = {
    "prompt": {"type": str, "required": True},
    "negative_prompt": {"type": str, "required": False, "default": None},
    "width": {"type": int, "required": False, "default": 512, "constraints": lambda width: width in (128, 256, 512, 768)},
    "num_outputs": {"type": int, "required": False, "default": 1, "constraints": lambda count: 10 > count > 0},
    "guidance_scale": {"type": float, "required": False, "default": 7.5},
    "seed": {"type": int, "required": False, "default": None},
}
