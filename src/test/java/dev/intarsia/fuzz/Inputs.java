package dev.intarsia.fuzz;

import dev.intarsia.fuzz.Input.Target;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.node.ObjectNode;

/** The inputs of one seed: each depends on its index alone. */
final class Inputs {

    private static final List<String> LINKS = List.of(
            "/dev/zero", "/dev/null", "/dev/full", "/proc/self/mem", "/proc/self/exe", "/", ".", "..", "config.json",
            "nowhere", "/nowhere/at/all", "model.safetensors", "tokenizer.json");
    private static final int MAX_EDITS = 4;

    private final long seed;
    private final Seeds seeds;

    Inputs(long seed, Seeds seeds) {
        this.seed = seed;
        this.seeds = seeds;
    }

    /** The randomness of one input; what is tried with it draws from another {@code salt}. */
    RandomGenerator random(long index, int salt) {
        return new SplittableRandom(new SplittableRandom(seed + index * 0x9E3779B97F4A7C15L).nextLong() + salt);
    }

    Input input(long index) {
        RandomGenerator random = random(index, 0);
        int kind = random.nextInt(100);
        List<String> edits = new ArrayList<>();
        if (kind < 2) {
            return strange(index, random, edits);
        }
        if (kind < 16) {
            return tokenizer(index, random, edits);
        }
        Seeds.Seed origin = Hostile.pick(seeds.checkpoints(), random);
        Map<String, Content> files = originals(origin);
        Target target = kind < 18 ? Target.ENGINE : Target.CHECKPOINT;
        if (target == Target.ENGINE && random.nextBoolean()) {
            editData(random, origin, files, edits);
        } else {
            int count = 1 + random.nextInt(random.nextInt(1, MAX_EDITS + 1));
            for (int i = 0; i < count; i++) {
                editCheckpoint(random, origin, files, edits);
            }
        }
        if (target == Target.ENGINE && random.nextInt(4) == 0) {
            Path tokenizer = seeds.tokenizers().get(random.nextInt(2)).files().get("tokenizer.json");
            files.put("tokenizer.json", new Content.Original(tokenizer));
        }
        return new Input(index, target, origin.name(), files, edits);
    }

    private static Map<String, Content> originals(Seeds.Seed origin) {
        Map<String, Content> files = new TreeMap<>();
        origin.files().forEach((name, file) -> files.put(name, new Content.Original(file)));
        return files;
    }

    private Input strange(long index, RandomGenerator random, List<String> edits) {
        StrangeModel model = new StrangeModel(random);
        Map<String, Content> files = new TreeMap<>();
        files.put("config.json", new Content.Bytes(model.config()));
        files.put("model.safetensors", new Content.Bytes(model.weights()));
        edits.add(model.toString());
        return new Input(index, Target.ENGINE, model.tame() ? Targets.TAME : "strange", files, edits);
    }

    private void editData(RandomGenerator random, Seeds.Seed origin, Map<String, Content> files, List<String> edits) {
        List<String> weights = origin.files().keySet().stream().filter(name -> name.endsWith(".safetensors")).toList();
        String name = Hostile.pick(weights, random);
        files.put(name, new Content.Bytes(new WeightsMutator(random, edits).data(name, origin.bytes().get(name))));
    }

    private void editCheckpoint(
            RandomGenerator random, Seeds.Seed origin, Map<String, Content> files, List<String> edits) {
        String name = Hostile.pick(List.copyOf(origin.files().keySet()), random);
        if (name.equals("generation_config.json") && random.nextBoolean()) {
            name = "config.json";
        }
        byte[] now = now(name, origin, files);
        int how = random.nextInt(20);
        if (how == 0) {
            misplace(random, name, now, files, edits);
        } else if (now.length == 0) {
            edits.add(name + " is empty");
        } else if (name.endsWith(".safetensors")) {
            files.put(name, new Content.Bytes(new WeightsMutator(random, edits).mutate(name, now)));
        } else if (how < 4) {
            files.put(name, new Content.Bytes(new ByteMutator(random, edits).mutate(name, now, now.length)));
        } else {
            String text = new String(now, StandardCharsets.UTF_8);
            String edited = name.endsWith(".index.json") && random.nextInt(3) == 0
                    ? misname(random, text, edits)
                    : new JsonMutator(random, edits).mutate(name, text);
            files.put(name, new Content.Bytes(edited.getBytes(StandardCharsets.UTF_8)));
        }
    }

    /** What an input has under a name, as far as that is bytes. */
    private static byte[] now(String name, Seeds.Seed origin, Map<String, Content> files) {
        return switch (files.get(name)) {
            case Content.Original original -> origin.bytes().get(name);
            case Content.Bytes edited -> edited.bytes();
            case null, default -> new byte[0];
        };
    }

    /** Something else under a file's name, or the file under another. */
    private void misplace(
            RandomGenerator random, String name, byte[] bytes, Map<String, Content> files, List<String> edits) {
        switch (random.nextInt(6)) {
            case 0 -> files.remove(name);
            case 1 -> files.put(name, new Content.Directory());
            case 2 -> files.put(name, new Content.Link(Hostile.pick(LINKS, random)));
            case 3 -> files.put(name, new Content.Link(name));
            case 4 -> files.put(name, new Content.Sparse(bytes, bytes.length + (1L << random.nextInt(
                    name.equals("tokenizer.json") || name.endsWith(".index.json") ? 20 : 41))));
            default -> files.put("model.safetensors", new Content.Bytes(bytes)); // shards are no longer looked at
        }
        edits.add(name + " is " + files.getOrDefault(name, new Content.Bytes(new byte[0])).getClass().getSimpleName());
    }

    private static String misname(RandomGenerator random, String index, List<String> edits) {
        String shard = Hostile.shard(random);
        edits.add("shard " + shard.substring(0, Math.min(60, shard.length())));
        String old = "\"model-0000" + random.nextInt(1, 4) + "-of-00003.safetensors\"";
        return random.nextBoolean()
                ? index.replace(old, '"' + shard + '"')
                : index.replaceFirst(Pattern.quote(old), Matcher.quoteReplacement('"' + shard + '"'));
    }

    private Input tokenizer(long index, RandomGenerator random, List<String> edits) {
        Seeds.Seed origin = seeds.tokenizers().get(random.nextInt(40) == 0 ? 2 : random.nextInt(2));
        Map<String, Content> files = originals(origin);
        int count = 1 + random.nextInt(random.nextInt(1, MAX_EDITS + 1));
        for (int i = 0; i < count; i++) {
            String name = random.nextInt(6) == 0 ? "tokenizer_config.json" : "tokenizer.json";
            byte[] now = now(name, origin, files);
            int how = random.nextInt(20);
            if (how == 0) {
                misplace(random, name, now, files, edits);
            } else if (how == 1) {
                files.put(name, new Content.Bytes(new ByteMutator(random, edits).mutate(name, now, 1000)));
            } else {
                String text = new String(now, StandardCharsets.UTF_8);
                String edited = how < 15 && name.equals("tokenizer.json")
                        ? how < 8 ? part(random, text, edits) : pattern(random, text, edits)
                        : new JsonMutator(random, edits).mutate(name, text);
                files.put(name, new Content.Bytes(edited.getBytes(StandardCharsets.UTF_8)));
            }
        }
        return new Input(index, Target.TOKENIZER, origin.name(), files, edits);
    }

    private static String part(RandomGenerator random, String text, List<String> edits) {
        try {
            if (WeightsFile.JSON.readTree(text) instanceof ObjectNode root) {
                new TokenizerParts(random).replace(root, edits);
                return root.toString();
            }
        } catch (JacksonException e) {
            // an edit before this one made it so
        }
        return text;
    }

    /** Another pattern where the file has one, of either kind. */
    private static String pattern(RandomGenerator random, String text, List<String> edits) {
        int at = text.indexOf("\"pattern\":", random.nextBoolean() ? 0 : text.indexOf("\"pattern\":") + 1);
        JsonTree.Node old = at < 0 ? null : JsonTree.parse(text.substring(at + "\"pattern\":".length()));
        if (old == null) {
            return text;
        }
        String pattern = TokenizerFiles.pattern(random);
        edits.add("pattern " + pattern);
        int begin = at + "\"pattern\":".length();
        return text.substring(0, begin) + "{\"" + (random.nextInt(8) == 0 ? "String" : "Regex") + "\":" + pattern + "}"
                + text.substring(begin + old.to());
    }
}
