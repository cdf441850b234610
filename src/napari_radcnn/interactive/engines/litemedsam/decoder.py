"""LiteMedSAM's prompt encoder and mask decoder, those of SAM (Kirillov et al. 2023), for one box at a time.

It is built for inference alone. The names of submodules are those of the published weights.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from napari_radcnn.interactive.engines.litemedsam.encoder import EMBEDDING, ChannelNorm

#: Side of the picture, of its embedding, and of the mask that the decoder makes.
PICTURE, MAP = 256, 64
_HEADS, _LAYERS, _MASKS = 8, 2, 4
#: Weights of what SAM has beside boxes: points and earlier masks. LiteMedSAM was trained with boxes.
UNUSED = (
    "prompt_encoder.point_embeddings.0.",
    "prompt_encoder.point_embeddings.1.",
    "prompt_encoder.not_a_point_embed.",
    "prompt_encoder.mask_downscaling.",
)


class _Attention(nn.Module):
    def __init__(self, inner: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(EMBEDDING, inner)
        self.k_proj = nn.Linear(EMBEDDING, inner)
        self.v_proj = nn.Linear(EMBEDDING, inner)
        self.out_proj = nn.Linear(inner, EMBEDDING)

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        parts = [
            tokens.unflatten(2, (_HEADS, -1)).transpose(1, 2)
            for tokens in (self.q_proj(query), self.k_proj(key), self.v_proj(value))
        ]
        found = functional.scaled_dot_product_attention(*parts)
        return self.out_proj(found.transpose(1, 2).flatten(2))


class _Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin1 = nn.Linear(EMBEDDING, 2048)
        self.lin2 = nn.Linear(2048, EMBEDDING)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.lin2(functional.relu(self.lin1(tokens)))


class _TwoWay(nn.Module):
    """The prompt looks at the picture, and the picture at the prompt."""

    def __init__(self, is_first: bool) -> None:
        super().__init__()
        self.self_attn = _Attention(EMBEDDING)
        self.norm1 = nn.LayerNorm(EMBEDDING)
        self.cross_attn_token_to_image = _Attention(EMBEDDING // 2)
        self.norm2 = nn.LayerNorm(EMBEDDING)
        self.mlp = _Perceptron()
        self.norm3 = nn.LayerNorm(EMBEDDING)
        self.norm4 = nn.LayerNorm(EMBEDDING)
        self.cross_attn_image_to_token = _Attention(EMBEDDING // 2)
        self._is_first = is_first

    def forward(
        self, tokens: torch.Tensor, picture: torch.Tensor, prompt: torch.Tensor, places: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        placed = tokens if self._is_first else tokens + prompt
        attended = self.self_attn(placed, placed, tokens)
        tokens = self.norm1(attended if self._is_first else tokens + attended)
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + prompt, picture + places, picture))
        tokens = self.norm3(tokens + self.mlp(tokens))
        picture = self.norm4(picture + self.cross_attn_image_to_token(picture + places, tokens + prompt, tokens))
        return tokens, picture


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_TwoWay(number == 0) for number in range(_LAYERS))
        self.final_attn_token_to_image = _Attention(EMBEDDING // 2)
        self.norm_final_attn = nn.LayerNorm(EMBEDDING)

    def forward(
        self, picture: torch.Tensor, places: torch.Tensor, prompt: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = prompt
        for layer in self.layers:
            tokens, picture = layer(tokens, picture, prompt, places)
        attended = self.final_attn_token_to_image(tokens + prompt, picture + places, picture)
        return self.norm_final_attn(tokens + attended), picture


class _Head(nn.Module):
    """Three linear layers."""

    def __init__(self, made: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(EMBEDDING, n) for n in (EMBEDDING, EMBEDDING, made))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        first, second, last = self.layers
        return last(functional.relu(second(functional.relu(first(tokens)))))


class _MaskDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transformer = _Transformer()
        self.iou_token = nn.Embedding(1, EMBEDDING)
        self.mask_tokens = nn.Embedding(_MASKS, EMBEDDING)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(EMBEDDING, EMBEDDING // 4, 2, 2),
            ChannelNorm(EMBEDDING // 4),
            nn.GELU(),
            nn.ConvTranspose2d(EMBEDDING // 4, EMBEDDING // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(_Head(EMBEDDING // 8) for _ in range(_MASKS))
        self.iou_prediction_head = _Head(_MASKS)

    def forward(self, embedding: torch.Tensor, places: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
        prompt = torch.cat((self.iou_token.weight, self.mask_tokens.weight, box))[None]
        tokens, seen = self.transformer(embedding.flatten(2).transpose(1, 2), places, prompt)
        seen = self.output_upscaling(seen.transpose(1, 2).unflatten(2, (MAP, MAP)))
        kernel = self.output_hypernetworks_mlps[0](tokens[:, 1])  # the first mask is the one for a single answer
        return torch.einsum("bc,bcyx->byx", kernel, seen)


class _Positions(nn.Module):
    """Random Fourier features of a place in the picture."""

    positional_encoding_gaussian_matrix: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.zeros(2, EMBEDDING // 2))

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        """Return the features of ``(..., 2)`` places, x before y, each of 0 to 1 over the picture."""
        angles = 2 * math.pi * (2 * places - 1) @ self.positional_encoding_gaussian_matrix
        return torch.cat((angles.sin(), angles.cos()), dim=-1)


class _PromptEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = _Positions()
        self.point_embeddings = nn.ModuleDict({"2": nn.Embedding(1, EMBEDDING), "3": nn.Embedding(1, EMBEDDING)})
        self.no_mask_embed = nn.Embedding(1, EMBEDDING)

    def corners(self, box: torch.Tensor) -> torch.Tensor:
        """Return ``(2, 256)`` for ``(left, top, right, bottom)`` in pixels of the picture."""
        kinds = torch.cat((self.point_embeddings["2"].weight, self.point_embeddings["3"].weight))
        return self.pe_layer((box.view(2, 2) + 0.5) / PICTURE) + kinds

    def map_places(self) -> torch.Tensor:
        """Return ``(1, 4096, 256)``: the features of every place of the embedding."""
        along = (torch.arange(MAP, device=self.no_mask_embed.weight.device) + 0.5) / MAP
        row, column = torch.meshgrid(along, along, indexing="ij")
        return self.pe_layer(torch.stack((column, row), dim=-1)).flatten(0, 1)[None]


class BoxDecoder(nn.Module):
    """Turns the embedding of a picture and a box into a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt_encoder = _PromptEncoder()
        self.mask_decoder = _MaskDecoder()

    def forward(self, embedding: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
        """Return logits ``(1, 256, 256)`` of the object.

        Parameters
        ----------
        embedding : (1, 256, 64, 64) tensor
            Of the picture.
        box : (4,) tensor
            ``left, top, right, bottom`` in pixels of the picture.
        """
        encoder = self.prompt_encoder
        dense = embedding + encoder.no_mask_embed.weight[:, :, None, None]
        return self.mask_decoder(dense, encoder.map_places(), encoder.corners(box))
