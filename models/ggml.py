"""What the pinned llama.cpp can load: its tensor types and the architectures that write text.

Plain tables, so that a file can be judged without loading the library; a test compares them with it.
"""

from __future__ import annotations

TENSOR_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("f32", 1, 4),
    1: ("f16", 1, 2),
    2: ("q4_0", 32, 18),
    3: ("q4_1", 32, 20),
    6: ("q5_0", 32, 22),
    7: ("q5_1", 32, 24),
    8: ("q8_0", 32, 34),
    9: ("q8_1", 32, 36),
    10: ("q2_K", 256, 84),
    11: ("q3_K", 256, 110),
    12: ("q4_K", 256, 144),
    13: ("q5_K", 256, 176),
    14: ("q6_K", 256, 210),
    15: ("q8_K", 256, 292),
    16: ("iq2_xxs", 256, 66),
    17: ("iq2_xs", 256, 74),
    18: ("iq3_xxs", 256, 98),
    19: ("iq1_s", 256, 50),
    20: ("iq4_nl", 32, 18),
    21: ("iq3_s", 256, 110),
    22: ("iq2_s", 256, 82),
    23: ("iq4_xs", 256, 136),
    24: ("i8", 1, 1),
    25: ("i16", 1, 2),
    26: ("i32", 1, 4),
    27: ("i64", 1, 8),
    28: ("f64", 1, 8),
    29: ("iq1_m", 256, 56),
    30: ("bf16", 1, 2),
    34: ("tq1_0", 256, 54),
    35: ("tq2_0", 256, 66),
    39: ("mxfp4", 32, 17),
    40: ("nvfp4", 64, 36),
    41: ("q1_0", 128, 18),
    42: ("q2_0", 64, 18),
}
"""Number in the file to (name, values in a block, bytes of a block)."""

TEXT_ARCHITECTURES = frozenset(
    """
    afmoe apertus arcee arctic baichuan bailingmoe bailingmoe2 bitnet bloom chatglm codeshell cohere2 command-r dbrx
    deci deepseek deepseek2 dots1 ernie4_5 ernie4_5-moe exaone exaone4 exaone-moe falcon falcon-h1 gemma gemma2
    gemma3 gemma3n gemma4 glm4 glm4moe gpt-oss gpt2 gptneox granite granitehybrid granitemoe grok grovemoe
    hunyuan-dense hunyuan-moe internlm2 jais jais2 jamba kimi-linear lfm2 lfm2moe llama llama4 maincoder mamba mamba2
    mellum mimo2 minicpm minicpm3 minimax-m2 mistral3 mpt nemotron nemotron_h nemotron_h_moe olmo olmo2 olmoe openelm
    orion pangu-embedded phi2 phi3 phimoe plamo plamo2 plamo3 plm qwen qwen2 qwen2moe qwen3 qwen35 qwen35moe qwen3moe
    qwen3next refact rnd1 rwkv6 rwkv6qwen2 rwkv7 arwkv7 seed_oss smallthinker smollm3 stablelm starcoder starcoder2
    step35 xverse
    """.split()
)
"""Architectures that complete text. Encoders, vision and speech models are left out on purpose."""
