package dev.intarsia.cli;

import dev.intarsia.CheckpointException;
import dev.intarsia.Completion;
import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.FinishReason;
import dev.intarsia.SamplingParams;
import dev.intarsia.Token;
import dev.intarsia.TokenStream;
import dev.intarsia.inspect.ModelReport;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code generate}: continues a prompt. */
@Command(
        name = "generate",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        sortSynopsis = false,
        versionProvider = Version.class,
        description = "Continues a prompt. The continuation alone is printed, as it comes, and a line end after it. "
                + "Ctrl-C ends it with what is there.")
final class GenerateCommand implements Callable<Integer> {
    private final Host host;

    @Spec
    private CommandSpec spec;

    @Mixin
    private ModelOptions model;

    @Mixin
    private SamplingOptions sampling;

    @Mixin
    private CompileOptions compile;

    @Option(names = "--tokens", paramLabel = "ID,ID,...", converter = Integers.TokenIds.class,
            description = "Token ids in place of PROMPT, for a directory with no tokenizer too: "
                    + "then the ids of the continuation are printed, separated by commas.")
    private Integers tokens;

    @Option(names = "--json",
            description = "Print one JSON object at the end: tokens, text, finish_reason (stop, length, repetition or cancelled), "
                    + "prompt_tokens, timings in milliseconds.")
    private boolean json;

    @Option(names = "--explain",
            description = "Say what was used, on standard error or in the JSON object: how the steps ran and why, what "
                    + "was compiled and replayed, device, tier, threads and precision.")
    private boolean explain;

    @Option(names = "--stats", description = "Print how long it took to standard error.")
    private boolean stats;

    @Parameters(arity = "0..1", paramLabel = "PROMPT",
            description = "Text to continue, one argument; - reads all of standard input, less a line end at its end. "
                    + "Put -- before a prompt that begins with a dash.")
    private String prompt;

    GenerateCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        if ((prompt == null) == (tokens == null)) {
            throw new ParameterException(spec.commandLine(), prompt == null
                    ? "no prompt: give PROMPT, - for standard input, or --tokens"
                    : "two prompts: give PROMPT or --tokens, not both");
        }
        EngineOptions options = engineOptions();
        samplingParams(SamplingParams.defaults()); // what is out of bounds is said before the model is loaded
        ModelOptions.Source source = model.source(host);
        if (source instanceof ModelOptions.Random && prompt != null) {
            throw new IllegalArgumentException("random weights have no tokenizer: give --tokens in place of PROMPT");
        }
        String text = "-".equals(prompt) ? Prompt.read(host.in()) : prompt;
        try {
            return generate(source, options, text);
        } finally {
            host.interruption().ended();
        }
    }

    EngineOptions engineOptions() {
        return sampling.wantsRows() ? compile.toEngineOptions(EngineOptions.builder()) : compile.forOneSequence();
    }

    SamplingParams samplingParams(SamplingParams defaults) {
        return sampling.over(defaults);
    }

    private int generate(ModelOptions.Source source, EngineOptions options, String text) {
        long start = System.nanoTime();
        try (Engine engine = source.open(options)) {
            Duration load = Duration.ofNanos(System.nanoTime() - start);
            if (text != null && !engine.hasTokenizer()) {
                throw new CheckpointException(source.name() + " has no tokenizer.json; give token ids with --tokens");
            }
            SamplingParams params = samplingParams(engine.defaultSamplingParams());
            boolean asText = engine.hasTokenizer();
            Completion completion;
            try (TokenStream stream =
                    text == null ? engine.stream(tokens.values(), params) : engine.stream(text, params)) {
                host.interruption().stopWith(stream::close);
                completion = json ? stream.completion() : show(stream, params.n(), asText);
            }
            if (json) {
                host.out().println(CompletionForms.json(completion, load, explain ? engine.inspect() : null));
            }
            if (stats) {
                report(completion, load);
            }
            if (explain && !json) {
                host.err().print(Explanation.text(engine.inspect()));
                host.err().flush();
            }
            boolean interrupted =
                    completion.finishReason() == FinishReason.CANCELLED && host.interruption().requested();
            return interrupted ? ExitCode.INTERRUPTED : ExitCode.OK;
        }
    }

    private Completion show(TokenStream stream, int outputs, boolean asText) {
        Output out = host.out();
        Completion completion;
        if (outputs == 1) {
            completion = shown(stream, asText, out);
        } else {
            completion = stream.completion();
            CompletionForms.texts(completion, asText, out);
        }
        CompletionForms.logprobs(completion, out);
        return completion;
    }

    /** Prints tokens as they come, and at the end what text was held back, as an incomplete character is. */
    private static Completion shown(TokenStream stream, boolean asText, Output out) {
        int shown = 0;
        while (stream.hasNext()) {
            Token token = stream.next();
            String piece = asText ? token.text() : (shown == 0 ? "" : ",") + token.id();
            out.print(piece);
            shown += piece.length();
        }
        Completion completion = stream.completion();
        out.println(asText ? completion.text().substring(shown) : "");
        return completion;
    }

    private void report(Completion completion, Duration load) {
        Completion.Timings timings = completion.timings();
        int count = completion.tokens().size();
        host.err().printf(
                Locale.ROOT,
                "load %.1f ms, prompt of %d tokens %.1f ms, %d tokens at %.1f tokens/s, finish reason %s%n",
                CompletionForms.millis(load),
                completion.promptTokens().size(),
                CompletionForms.millis(timings.firstToken()),
                count,
                timings.decodeRate(count),
                completion.finishReason().name().toLowerCase(Locale.ROOT));
        host.err().flush();
    }
}
