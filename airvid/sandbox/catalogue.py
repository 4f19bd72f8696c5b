"""The models that the emulator lists, as irregular as the real API's: missing keys, nulls, odd spellings."""

from __future__ import annotations

from typing import Any

from airvid.sandbox.messages import Json


def _listed(name: str, owner: str, media: str, **more: Any) -> Json:
    return {
        "id": name,
        "object": "model",
        "owned_by": owner,
        "status": "operational",
        "tier": "free",
        "input_modalities": ["text"],
        "output_modalities": [media],
        "media_type": media,
        "video_caps": None,
        **more,
    }


def _video(
    name: str,
    owner: str,
    status: str | None,
    cents: float | None,
    seconds: tuple[int | None, int | None],
    ratios: str | None,
    qualities: str | None,
    modes: str | None,
    **more: Any,
) -> Json:
    caps = {
        "aspect_ratios": ratios and ratios.split(),
        "qualities": qualities and qualities.split(),
        "min_duration_s": seconds[0],
        "max_duration_s": seconds[1],
        "modes": modes and modes.split(),
        "price_per_second_cents": cents,
    }
    inputs = ["text"] if modes == "text" else ["text", "image"]
    return _listed(name, owner, "video", status=status, input_modalities=inputs, video_caps=caps, **more)


_UNMARKED = {"output_modalities": None, "media_type": None}
_ANY = "16:9 9:16 1:1"
_ALL = "text image reference"
_HD = "720p 1080p"

_VIDEO = [
    _video("wan-2.6", "alibaba", "operational", 2.25, (2, 15), _ANY, "480p 720p 1080p", "text image"),
    _video("dune-lite", "sandbox", "healthy", 0.1, (2, 10), f"{_ANY} 4:3", "480p 720p", _ALL),
    _video("veo-3.1-fast", "google", "operational", 12, (4, 8), "16:9 9:16", _HD, "text image", tier="paid"),
    _video("kling-3.0", "kuaishou", "operational", 8.4, (5, 10), _ANY, _HD, "text image", tier="paid"),
    _video("seedance-2.0", "bytedance", "operational", 4.25, (4, 12), f"2:3 3:2 {_ANY}", "480p 720P", _ALL),
    _video("hailuo-2.3", "minimax", None, 4.5, (6, 10), "portrait landscape square", "768P", "text image"),
    _video("ltx-2", "lightricks", "healthy", 1.2, (None, None), None, None, None),
    _video("mochi-1", "genmo", "operational", None, (2, 5), "16:9", "480p", "text"),
    _video("hunyuan-video", "tencent", "healthy", 0, (3, 5), _ANY, "720p", "text image"),
    _video("pika-2.2", "pika", "down", 0.05, (3, 10), _ANY, "480p 720p", "text image"),
    _video("pixverse-5", "pixverse", "degraded", 0.08, (5, 8), _ANY, "540p 720p", "text"),
    _listed("cogvideox-5b", "zhipu", "video", output_modalities=None, status=None),
    _video("animate-diff", "sandbox", "operational", 0.6, (2, 4), "1:1", "480p", "image", **_UNMARKED),
]

_OTHERS = {
    "text": "gpt-5 gpt-5-mini o4-mini claude-opus-4.5 claude-sonnet-4.5 claude-haiku-4.5 gemini-3-pro gemini-3-flash "
    "deepseek-v3.2 deepseek-r1 qwen3-max qwen3-coder llama-4-maverick llama-4-scout mistral-large-3 codestral-2",
    "image": "flux-2-pro flux-2-dev flux-schnell sd-3.5-large imagen-4 nano-banana sdxl qwen-image",
    "audio": "whisper-1 tts-1 suno-v5 eleven-v3",
}

MODELS = [*_VIDEO, *(_listed(name, "sandbox", media) for media, names in _OTHERS.items() for name in names.split())]


def makes_video(model: Json) -> bool:
    """Whether a model makes videos; three keys can say so."""
    outputs = model.get("output_modalities")
    if outputs is not None:
        return "video" in outputs
    return model.get("media_type") == "video" or bool(model.get("video_caps"))
