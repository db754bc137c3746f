"""Layers with unusual arguments, and published architectures, which a script must write out."""

from typing import Any

from torchvision import models

# An expression, and the shapes of its inputs; "long" before those that are numbers of words.
LAYERS: dict[str, tuple[Any, ...]] = {
    "nn.Identity(54, unused=1)": ((2, 3),),
    "nn.Linear(4, 3, bias=False)": ((2, 4),),
    "nn.Linear(4, 3, dtype=torch.float32)": ((2, 4),),
    "nn.Bilinear(4, 3, 2, bias=False)": ((2, 4), (2, 3)),
    "nn.Flatten(2, -1)": ((2, 3, 2, 2),),
    "nn.Unflatten(1, (2, 2))": ((2, 4),),
    "nn.Conv1d(4, 6, 3, stride=2, padding='valid', dilation=2, groups=2)": ((2, 4, 9),),
    "nn.Conv2d(3, 6, (3, 1), padding=(1, 0), groups=3, bias=False)": ((2, 3, 6, 6),),
    "nn.Conv2d(3, 6, 3, padding='same', padding_mode='reflect')": ((2, 3, 6, 6),),
    "nn.Conv2d(3, 6, 3, padding=1, padding_mode='circular', dilation=1)": ((2, 3, 6, 6),),
    "nn.Conv3d(2, 4, (1, 2, 3), stride=(1, 2, 1))": ((2, 2, 4, 4, 4),),
    "nn.ConvTranspose1d(4, 2, 3, stride=2, output_padding=1)": ((2, 4, 5),),
    "nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, groups=2, dilation=2)": ((2, 4, 5, 5),),
    "nn.ConvTranspose3d(2, 2, 2, bias=False)": ((2, 2, 3, 3, 3),),
    "nn.Unfold((2, 2), stride=2)": ((2, 3, 4, 4),),
    "nn.Fold((4, 4), (2, 2), stride=2)": ((2, 12, 4),),
    "nn.MaxPool1d(3, 2, ceil_mode=True)": ((2, 3, 8),),
    "nn.MaxPool2d((2, 3), stride=(2, 1), padding=(1, 0), return_indices=True)": ((2, 3, 6, 6),),
    "nn.MaxPool3d(2, dilation=2)": ((2, 2, 6, 6, 6),),
    "nn.AvgPool1d(2, count_include_pad=False, padding=1)": ((2, 3, 8),),
    "nn.AvgPool2d(3, divisor_override=2)": ((2, 3, 6, 6),),
    "nn.AvgPool3d(2, ceil_mode=True)": ((2, 2, 5, 5, 5),),
    "nn.FractionalMaxPool2d(2, output_ratio=0.5)": ((2, 3, 8, 8),),
    "nn.FractionalMaxPool3d(2, output_size=(2, 2, 2))": ((2, 3, 6, 6, 6),),
    "nn.LPPool1d(2, 3, stride=2)": ((2, 3, 8),),
    "nn.LPPool2d(1.2, (3, 2))": ((2, 3, 6, 6),),
    "nn.LPPool3d(2, 2, ceil_mode=True)": ((2, 2, 5, 5, 5),),
    "nn.AdaptiveMaxPool1d(3, return_indices=True)": ((2, 3, 8),),
    "nn.AdaptiveMaxPool2d((None, 2))": ((2, 3, 6, 6),),
    "nn.AdaptiveMaxPool3d(2)": ((2, 2, 5, 5, 5),),
    "nn.AdaptiveAvgPool1d(2)": ((2, 3, 8),),
    "nn.AdaptiveAvgPool2d((2, None))": ((2, 3, 6, 6),),
    "nn.AdaptiveAvgPool3d((1, 2, None))": ((2, 2, 5, 5, 5),),
    "nn.ReflectionPad1d((1, 2))": ((2, 3, 6),),
    "nn.ReflectionPad2d(1)": ((2, 3, 4, 4),),
    "nn.ReflectionPad3d(1)": ((2, 2, 3, 3, 3),),
    "nn.ReplicationPad1d(2)": ((2, 3, 6),),
    "nn.ReplicationPad2d((1, 0, 2, 1))": ((2, 3, 4, 4),),
    "nn.ReplicationPad3d(1)": ((2, 2, 3, 3, 3),),
    "nn.ZeroPad1d(1)": ((2, 3, 6),),
    "nn.ZeroPad2d((0, 1, 1, 0))": ((2, 3, 4, 4),),
    "nn.ZeroPad3d(1)": ((2, 2, 3, 3, 3),),
    "nn.ConstantPad1d(2, -0.5)": ((2, 3, 6),),
    "nn.ConstantPad2d((1, 2, 0, 1), 3.5)": ((2, 3, 4, 4),),
    "nn.ConstantPad3d(1, 2.0)": ((2, 2, 3, 3, 3),),
    "nn.CircularPad1d(1)": ((2, 3, 6),),
    "nn.CircularPad2d((1, 1, 0, 1))": ((2, 3, 4, 4),),
    "nn.CircularPad3d(1)": ((2, 2, 3, 3, 3),),
    "nn.ELU(alpha=0.5)": ((2, 3),),
    "nn.CELU(0.7)": ((2, 3),),
    "nn.SELU()": ((2, 3),),
    "nn.GELU('tanh')": ((2, 3),),
    "nn.GLU(dim=1)": ((2, 4),),
    "nn.Hardshrink(0.3)": ((2, 3),),
    "nn.Hardsigmoid()": ((2, 3),),
    "nn.Hardswish()": ((2, 3),),
    "nn.Hardtanh(-0.5, 0.4)": ((2, 3),),
    "nn.LeakyReLU(0.3)": ((2, 3),),
    "nn.LogSigmoid()": ((2, 3),),
    "nn.LogSoftmax(dim=1)": ((2, 3),),
    "nn.Mish()": ((2, 3),),
    "nn.PReLU(3, init=0.1)": ((2, 3),),
    "nn.ReLU6()": ((2, 3),),
    "nn.RReLU(0.1, 0.2)": ((2, 3),),
    "nn.SiLU()": ((2, 3),),
    "nn.Sigmoid()": ((2, 3),),
    "nn.Softmax(-2)": ((2, 3),),
    "nn.Softmax2d()": ((2, 3, 4, 4),),
    "nn.Softmin(dim=0)": ((2, 3),),
    "nn.Softplus(beta=2, threshold=5)": ((2, 3),),
    "nn.Softshrink(0.2)": ((2, 3),),
    "nn.Softsign()": ((2, 3),),
    "nn.Tanh()": ((2, 3),),
    "nn.Tanhshrink()": ((2, 3),),
    "nn.Threshold(0.1, 20)": ((2, 3),),
    "nn.Dropout(0.3)": ((2, 3),),
    "nn.Dropout1d(0.3)": ((2, 3, 4),),
    "nn.Dropout2d(0.4)": ((2, 3, 4, 4),),
    "nn.Dropout3d(0.4)": ((2, 3, 2, 2, 2),),
    "nn.AlphaDropout(0.2)": ((2, 3),),
    "nn.FeatureAlphaDropout(0.2)": ((2, 3, 4),),
    "nn.BatchNorm1d(3, eps=1e-3, momentum=None)": ((4, 3),),
    "nn.BatchNorm2d(3, affine=False, track_running_stats=False)": ((2, 3, 4, 4),),
    "nn.BatchNorm3d(2, momentum=0.3)": ((2, 2, 3, 3, 3),),
    "nn.SyncBatchNorm(3, momentum=0.2)": (),
    "nn.GroupNorm(2, 4, affine=False)": ((2, 4, 3),),
    "nn.InstanceNorm1d(3, track_running_stats=True)": ((2, 3, 6),),
    "nn.InstanceNorm2d(3, affine=True)": ((2, 3, 4, 4),),
    "nn.InstanceNorm3d(2)": ((2, 2, 3, 3, 3),),
    "nn.LayerNorm([3, 4], elementwise_affine=False)": ((2, 3, 4),),
    "nn.LayerNorm(4, bias=False, eps=1e-3)": ((2, 3, 4),),
    "nn.RMSNorm(4, eps=1e-2)": ((2, 4),),
    "nn.LocalResponseNorm(2, alpha=1e-3, k=2.0)": ((2, 4, 3, 3),),
    "nn.CrossMapLRN2d(3, k=2)": ((2, 4, 3, 3),),
    "nn.ChannelShuffle(2)": ((2, 4, 3, 3),),
    "nn.PixelShuffle(2)": ((2, 4, 3, 3),),
    "nn.PixelUnshuffle(2)": ((2, 3, 4, 4),),
    "nn.Upsample(scale_factor=(2.0, 3.0), mode='bilinear', align_corners=True)": ((2, 3, 4, 4),),
    "nn.Upsample(size=5, mode='linear')": ((2, 3, 4),),
    "nn.UpsamplingNearest2d(scale_factor=2)": ((2, 3, 4, 4),),
    "nn.UpsamplingBilinear2d(size=(6, 5))": ((2, 3, 4, 4),),
    "nn.CosineSimilarity(dim=0, eps=1e-3)": ((2, 3), (2, 3)),
    "nn.PairwiseDistance(p=1.5, keepdim=True)": ((2, 3), (2, 3)),
    "nn.Embedding(9, 4, padding_idx=2, max_norm=1.0, scale_grad_by_freq=True)": ("long", (2, 3)),
    "nn.Embedding.from_pretrained(torch.ones(9, 4), freeze=False)": ("long", (2, 3)),
    "nn.EmbeddingBag(9, 4, mode='max', padding_idx=1)": ("long", (2, 3)),
    "nn.LSTM(4, 6, 2, dropout=0.2, bidirectional=True, batch_first=True)": ((2, 3, 4),),
    "nn.LSTM(4, 6, proj_size=3, bias=False)": ((3, 2, 4),),
    "nn.GRU(4, 6, num_layers=2, bias=False)": ((3, 2, 4),),
    "nn.RNN(4, 6, nonlinearity='relu', batch_first=True)": ((2, 3, 4),),
    "nn.LSTMCell(4, 6, bias=False)": ((2, 4),),
    "nn.GRUCell(4, 6)": ((2, 4),),
    "nn.RNNCell(4, 6, nonlinearity='relu')": ((2, 4),),
    "nn.MultiheadAttention(8, 2, dropout=0.1, add_bias_kv=True)": ((2, 3, 8),) * 3,
    "nn.MultiheadAttention(8, 2, kdim=4, vdim=6, bias=False)": ((3, 2, 8), (5, 2, 4), (5, 2, 6)),
    "nn.TransformerEncoderLayer(8, 2, 16, activation='gelu', norm_first=True)": ((3, 2, 8),),
    "nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)": ((2, 3, 8), (2, 4, 8)),
    "nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2)": ((2, 3, 8),),
    "nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2, norm=nn.LayerNorm(8))": (
        (3, 2, 8), (4, 2, 8)
    ),
    "nn.Transformer(8, 2, 1, 1, 16, batch_first=True)": ((2, 3, 8), (2, 4, 8)),
    "ops.MLP(4, [6, 3], norm_layer=nn.LayerNorm, activation_layer=nn.GELU)": ((2, 4),),
    "ops.Permute([0, 2, 1])": ((2, 3, 4),),
    "ops.StochasticDepth(0.2, 'row')": ((2, 3),),
    "ops.DropBlock2d(0.2, 3)": ((2, 3, 6, 6),),
    "ops.DropBlock3d(0.2, 3)": ((2, 3, 4, 4, 4),),
    "ops.SqueezeExcitation(4, 2, scale_activation=nn.Hardsigmoid)": ((2, 4, 3, 3),),
    "ops.Conv2dNormActivation(3, 6, 3, stride=2, norm_layer=None)": ((2, 3, 6, 6),),
    "ops.Conv3dNormActivation(2, 4, activation_layer=nn.SiLU, bias=True)": ((2, 2, 4, 4, 4),),
    "ops.FrozenBatchNorm2d(3, eps=1e-3)": ((2, 3, 4, 4),),
    "ops.FeaturePyramidNetwork([3, 4], 6)": (),
    "ops.RoIPool(2, 0.5)": (),
    "ops.RoIAlign((2, 2), 0.5, 2, aligned=True)": (),
    "ops.PSRoIAlign(2, 1.0, 2)": (),
    "ops.PSRoIPool(2, 1.0)": (),
    "ops.MultiScaleRoIAlign(['0'], 3, 2)": (),
    "ops.DeformConv2d(3, 6, 3, padding=1)": ((2, 3, 5, 5), (2, 18, 5, 5)),
}  # fmt: skip


# ---- published architectures


def timm(name: str, size: int = 64, **options: Any) -> tuple[Any, ...]:
    import timm as library

    options = {"img_size": size, **options} if options.pop("sized", False) else options
    return library.create_model(name, num_classes=3, **options), (2, 3, size, size)


def mixer() -> tuple[Any, ...]:
    from timm.models.mlp_mixer import MlpMixer

    return MlpMixer(3, 64, patch_size=32, num_blocks=1, embed_dim=32), (2, 3, 64, 64)


def of_torchvision(name: str, size: int = 64, **options: Any) -> tuple[Any, ...]:
    return getattr(models, name)(weights=None, num_classes=3, **options), (2, 3, size, size)


SMALL = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 30,
    "intermediate_size": 32, "max_position_embeddings": 16, "pad_token_id": 0,
}  # fmt: skip


def of_transformers(name: str, config: str, **options: Any) -> tuple[Any, ...]:
    import transformers

    options = options or SMALL
    return getattr(transformers, name)(getattr(transformers, config)(**options)), "tokens"


SEQ2SEQ = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "vocab_size": 30,
    "max_position_embeddings": 16,
}  # fmt: skip
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "vocab_size": 30}
GPT2 = {"n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 30, "n_positions": 16}
VIT = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1,
       "num_attention_heads": 2, "intermediate_size": 32}  # fmt: skip
WAV2VEC2 = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
    "conv_dim": (8, 8), "conv_stride": (5, 2), "conv_kernel": (10, 3), "vocab_size": 30,
    "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "layer", "do_stable_layer_norm": True,
}  # fmt: skip
DISTIL = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "vocab_size": 30}
LLAMA = SMALL | {"num_key_value_heads": 2}

ARCHITECTURES: dict[str, Any] = {
    "squeezenet": lambda: of_torchvision("squeezenet1_1"),
    "densenet": lambda: (models.DenseNet(8, (2, 2), 8, num_classes=3), (2, 3, 64, 64)),
    "resnext": lambda: (models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], 3, groups=2,
                                      width_per_group=8), (2, 3, 64, 64)),
    "shufflenet": lambda: of_torchvision("shufflenet_v2_x0_5"),
    "mnasnet": lambda: of_torchvision("mnasnet0_5"),
    "mobilenet_v2": lambda: of_torchvision("mobilenet_v2", width_mult=0.35),
    "efficientnet": lambda: of_torchvision("efficientnet_b0"),
    "regnet": lambda: of_torchvision("regnet_y_400mf"),
    "googlenet": lambda: of_torchvision("googlenet", init_weights=False),
    "swin (torchvision)": lambda: (models.SwinTransformer([4, 4], 16, [1, 1], [2, 2], [4, 4],
                                                          num_classes=3), (2, 3, 64, 64)),
    "convnext (torchvision)": lambda: (models.ConvNeXt(
        [models.convnext.CNBlockConfig(8, 16, 1), models.convnext.CNBlockConfig(16, None, 1)],
        num_classes=3), (2, 3, 64, 64)),
    "lraspp": lambda: (models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3), (2, 3, 64, 64)),
    "resnet18d": lambda: timm("resnet10t"),
    "mobilenetv3 (timm)": lambda: timm("mobilenetv3_small_050"),
    "convnext (timm)": lambda: timm("convnext_atto"),
    "vit (timm)": lambda: timm("vit_tiny_patch16_224", sized=True, depth=1),
    "deit": lambda: timm("deit_tiny_patch16_224", sized=True, depth=1),
    "swin (timm)": lambda: timm("swin_tiny_patch4_window7_224", sized=True, window_size=4,
                                depths=(1, 1), num_heads=(2, 2), embed_dim=16),
    "mixer": mixer,
    "poolformer": lambda: timm("poolformer_s12"),
    "ghostnet": lambda: timm("ghostnet_050"),
    "regnetx (timm)": lambda: timm("regnetx_002"),
    "edgenext": lambda: timm("edgenext_xx_small"),
    "bert": lambda: of_transformers("BertModel", "BertConfig"),
    "roberta": lambda: of_transformers("RobertaModel", "RobertaConfig"),
    "electra": lambda: of_transformers("ElectraModel", "ElectraConfig"),
    "albert": lambda: of_transformers("AlbertModel", "AlbertConfig"),
    "distilbert": lambda: of_transformers("DistilBertModel", "DistilBertConfig", **DISTIL),
    "gpt2": lambda: of_transformers("GPT2Model", "GPT2Config", **GPT2),
    "t5": lambda: of_transformers("T5Model", "T5Config", **T5),
    "bart": lambda: of_transformers("BartModel", "BartConfig", **SEQ2SEQ),
    "llama": lambda: of_transformers("LlamaModel", "LlamaConfig", **LLAMA),
    "qwen2": lambda: of_transformers("Qwen2Model", "Qwen2Config", **LLAMA),
    "mistral": lambda: of_transformers("MistralModel", "MistralConfig", **LLAMA),
    "vit (transformers)": lambda: (*of_transformers("ViTModel", "ViTConfig", **VIT)[:1],
                                   (2, 3, 32, 32)),
    "wav2vec2": lambda: (*of_transformers("Wav2Vec2Model", "Wav2Vec2Config", **WAV2VEC2)[:1],
                         (2, 400)),
}  # fmt: skip
