package dev.intarsia.piecewise;

/**
 * What has happened so far. A snapshot: it does not move.
 *
 * @param graphsSeen           graphs handed to the layer
 * @param piecesSeen           pieces they were cut into, splitting ones too
 * @param capturablePiecesSeen pieces among them that are compiled and can be recorded
 * @param compilations         executables compiled: distinct pieces × entries; a shared or loaded one never counts
 * @param artifactsLoaded      artifacts read from a store
 * @param artifactsSaved       artifacts written to a store
 * @param captures             recordings made
 * @param replays              recordings run
 */
public record CompilationCounters(
        long graphsSeen,
        long piecesSeen,
        long capturablePiecesSeen,
        long compilations,
        long artifactsLoaded,
        long artifactsSaved,
        long captures,
        long replays) {}
