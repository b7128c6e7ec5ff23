/**
 * Flight Recorder events, category {@code Intarsia}. Those of start-up are on by default; {@code dev.intarsia.Step} and {@code dev.intarsia.Replay}, of
 * which there are many, are off until a recording asks for them: {@code jcmd PID JFR.start dev.intarsia.Step#enabled=true}.
 */
package dev.intarsia.jfr;
