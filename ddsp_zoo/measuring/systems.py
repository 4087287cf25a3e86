"""Systems that are measured side by side: baselines, the outputs of a model, ideal masks."""

SYSTEMS = {
    "mixture": "the mixture itself",
    "noise": "white noise, uniform, amplitude 1",
    "comb_mask": "mask from a fixed harmonic comb on the given f0, nothing learned (power 1)",
    "comb_mask_power": "the same in power 2",
    "nmf": "harmonic NMF on the given f0, nothing learned (power 1)",
    "harmonic_ls": "harmonics on the given f0, fitted to the mixture by least squares, nothing learned",
    "harmonic_ls_masked": "the mixture, masked by harmonic_ls (power 1)",
    "harmonic_ls_masked_power": "the same in power 2",
    "harmonic_ls_shared": "harmonic_ls, and what it leaves over shared by its masks (power 2)",
    "synthesised": "the model's synthesised sources",
    "masked": "the mixture, masked by the synthesised sources (power 1, the papers' form)",
    "masked_power": "the mixture, masked by the synthesised sources (power 2, Wiener form)",
    "irm_mixture": "ideal ratio mask |S| / |X| (thesis eq. 3.4)",
    "irm": "ideal ratio mask |S_i| / sum |S_j|",
    "irm_power": "ideal ratio mask |S_i|^2 / sum |S_j|^2",
}
MASKS = {"masked": 1.0, "masked_power": 2.0}  # outputs of a model by the power of their masks
OF_THE_MODEL = ("synthesised", "masked", "masked_power")  # all others are the same for every model


def rank(system: str) -> int:
    """Returns the place of a system in tables; those that the package does not know come last, in their own order."""
    return list(SYSTEMS).index(system) if system in SYSTEMS else len(SYSTEMS)
