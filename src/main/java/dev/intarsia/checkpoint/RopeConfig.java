package dev.intarsia.checkpoint;

/**
 * Rotary position embedding. Numbers that the type does not use are 0 (factor: 1), so that equal embeddings are equal
 * records however the file spelled them.
 *
 * @param theta          base of the frequencies {@code theta^(-2i/headDim)}
 * @param type           {@code default}, {@code linear} or {@code llama3}; any other name is kept as it stands, and
 *                       {@link #MIXED} says that the layer types have different embeddings
 * @param factor         linear and llama3: how many times longer the scaled context is
 * @param lowFreqFactor  llama3: wavelengths beyond {@code originalMaxPositionEmbeddings / lowFreqFactor} are scaled
 * @param highFreqFactor llama3: wavelengths below {@code originalMaxPositionEmbeddings / highFreqFactor} are not
 * @param originalMaxPositionEmbeddings llama3: positions the model was trained on before scaling
 * @param rotaryFraction share of the head dimension that is rotated, 1 for all of it
 */
public record RopeConfig(
        double theta,
        String type,
        double factor,
        double lowFreqFactor,
        double highFreqFactor,
        int originalMaxPositionEmbeddings,
        double rotaryFraction) {

    public static final String DEFAULT = "default";
    public static final String LINEAR = "linear";
    public static final String LLAMA3 = "llama3";
    public static final String MIXED = "mixed";
}
